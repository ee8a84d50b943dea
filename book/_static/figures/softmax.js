/* Chapter 4: from scores to probabilities, and the Jacobian of softmax, entry by entry. */

liveFigure.define("softmax", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const M = data.z.length;
	const sub = (k) => "₁₂₃₄₅₆₇₈₉"[k];
	const step = 1e-5;
	let [dy, selected] = [[...data.dy], [0, 0]];

	const follow = figure.onceAFrame(redraw);
	const scores = data.z.map((value, k) => figure.slider(`score z${sub(k)}`, { min: -5, max: 5, step: 0.1, value }, follow));
	const tau = figure.slider("temperature τ", { values: data.temperatures, value: 1 }, follow);
	const shift = figure.slider("add to all", { min: -100, max: 100, step: 10, value: 0 }, follow);
	const controls = make("div", { class: "lf-group" }, [...scores, tau, shift].map(({ element }) => {
		element.style.cssText = "display: grid; grid-template-columns: 7.5rem 9rem 3rem";
		return element;
	}));
	const bars = figure.svg(300, 190, "The probabilities as bars");
	bars.style.maxWidth = "380px";
	figure.row(controls, make("div", { style: "flex: 1 1 260px; min-width: 0" }, bars));

	const fixed = (matrix, columns) => {
		matrix.element.style.cssText = `table-layout: fixed; width: ${4 * columns}rem`;
		return matrix;
	};
	const options = { digits: 2, size: "2.25rem" };
	const jacobian = fixed(figure.matrix("Jacobian, ∂y of the row by ∂x of the column; choose an entry", data.z.map(() => data.z), { ...options, select: (i, j) => { selected = [i, j]; redraw(); } }), M);
	const upstream = fixed(figure.matrix("dy, the upstream gradient; type a number to change it", dy.map((value) => [value]), { ...options, change: (i, _, value) => { dy[i] = value; redraw(); } }), 1);
	const back = fixed(figure.matrix("dx, the gradient of x", [dy], options), M);
	const [entry, check, sum] = [make("p", { class: "lf-entry" }), figure.check(), make("p", { class: "lf-note" })];
	const product = make("div", { style: "display: grid; gap: 0.4rem 0.6rem; grid-template-columns: auto auto; justify-content: start" },
		figure.named("dy", upstream), figure.named("Jacobian, ∂yᵢ/∂xⱼ", jacobian),
		make("span"), figure.named("dx = dy · Jacobian", back));
	const reset = figure.button("Back to the start", () => {
		scores.forEach((slider, k) => { slider.value = data.z[k]; });
		[tau.value, shift.value, dy, selected] = [1, 0, [...data.dy], [0, 0]];
		redraw();
	});
	figure.row(product, make("div", { class: "lf-group", style: "flex: 1 1 15rem; gap: 0.6rem" }, make("p", {}, "The scores of the classes, divided by the temperature: x = z/τ. Choose an entry of the Jacobian:"), entry, check.element, sum, figure.scale(), make("div", {}, reset)));

	function redraw() {
		const x = cnnlib.array([scores.map(({ value }) => (value + shift.value) / tau.value)], "float64");
		const layer = cnnlib.Softmax();
		const y = [...layer.forward(x).data];
		const J = y.map((_, i) => [...layer.backward(cnnlib.one_hot([i], M, "float64")).data]); // row i: dy is 1 at i, else 0
		const dx = [...layer.backward(cnnlib.array([dy], "float64")).data];
		const [i, j] = selected;
		const estimate = cnnlib.numerical_gradient(() => layer.forward(x).data[i], x, [j], step)[0];

		const wide = 280 / M;
		bars.replaceChildren(
			draw("path", { d: "M 20 165 H 300 M 20 25 H 300", stroke: "var(--lf-line)", "stroke-dasharray": "280 0 4 4" }),
			draw("text", { x: 0, y: 169 }, "0"), draw("text", { x: 0, y: 29 }, "1"), ...y.flatMap((p, k) => [
			draw("rect", { x: 20 + k * wide + 12, y: 165 - 140 * p, width: wide - 24, height: 140 * p, fill: "var(--lf-accent)" }),
			draw("text", { x: 20 + (k + 0.5) * wide, y: 159 - 140 * p, "text-anchor": "middle", class: "lf-p" }, number(p)),
			draw("text", { x: 20 + (k + 0.5) * wide, y: 183, "text-anchor": "middle" }, `y${sub(k)}`),
		]));
		bars.setAttribute("aria-label", `Probabilities: ${y.map((p) => number(p)).join(", ")}`);
		jacobian.show(J, { limit: 0.25, frames: [[i, j, "lf-frame-2"]] });
		upstream.show(dy.map((value) => [value]));
		back.show([dx]);
		const name = `∂y${sub(i)}/∂x${sub(j)}`;
		const formula = i === j ? `y${sub(i)} (1 − y${sub(i)})` : `−y${sub(i)} y${sub(j)}`;
		const factors = i === j ? `${number(y[i])} · ${number(1 - y[i])}` : `−${number(y[i])} · ${number(y[j])}`;
		entry.replaceChildren(`${name} = ${formula}`, make("br"), ` = ${factors} = ${number(J[i][j])}`);
		check.show(Math.abs(estimate - J[i][j]) < 1e-8, `central difference: ${number(Math.abs(estimate) < 1e-11 ? 0 : estimate)}`);
		const total = dx.reduce((a, b) => a + b, 0);
		sum.textContent = `Sum of dx: ${number(Math.abs(total) < 1e-12 ? 0 : total)}.`;
		figure.say(`Probabilities ${y.map((p) => number(p)).join(", ")}. ${entry.textContent}.`);
	}
	redraw();
});
