/* Chapter 7: who wins a window of max pooling, where dy goes, and what a shift changes. */

liveFigure.define("max-pooling", (figure, data) => {
	"use strict";
	let [x, dy, selected] = [structuredClone(data.x), null, [0, 0]];

	const size = figure.slider("window", { values: [2, 3], value: 2 }, redraw);
	const stride = figure.slider("stride", { values: [1, 2, 3], value: 2 }, redraw);
	figure.row(size.element, stride.element,
		figure.button("shift one pixel right", () => { x = x.map((line) => [line.at(-1), ...line.slice(0, -1)]); redraw(); }),
		figure.button("equal values", () => { x = x.map((line) => line.map(() => 1)); redraw(); }),
		figure.button("as at the beginning", () => { [x, dy] = [structuredClone(data.x), null]; redraw(); }));

	const input = figure.matrix("x, the input; type a number to change it", x, { change: (i, j, value) => { x[i][j] = value; redraw(); } });
	const output = figure.matrix("y, the output; choose a window", [[0]], { select: (i, j) => { selected = [i, j]; redraw(); } });
	const upstream = figure.matrix("dy, the upstream gradient", [[0]], {
		change: (i, j, value) => { dy[i][j] = value; redraw(); },
		select: (i, j) => { selected = [i, j]; redraw(); },
	});
	const back = figure.matrix("dx, the gradient of the input", x);
	figure.row(figure.named("x", input), figure.named("y", output), figure.named("dy", upstream), figure.named("dx", back));
	const sums = figure.add(liveFigure.make("p", { class: "lf-note" }));
	figure.add(figure.scale());

	function redraw() {
		const layer = cnnlib.MaxPooling(size.value, stride.value);
		const y = layer.forward(cnnlib.array([[x]], "float64")).toNested()[0][0];
		if (!dy || dy.length !== y.length || dy[0].length !== y[0].length) dy = y.map((line, r) => line.map((_, s) => 1 + r + s));
		selected = [Math.min(selected[0], y.length - 1), Math.min(selected[1], y[0].length - 1)];
		const dx = layer.backward(cnnlib.array([[dy]], "float64")).toNested()[0][0];
		const [r, s] = selected;
		const window = [];
		for (let i = 0; i < size.value; i++) for (let j = 0; j < size.value; j++) window.push([r * stride.value + i, s * stride.value + j, "lf-frame-2"]);
		const winner = window.find(([i, j]) => x[i][j] === y[r][s]);
		input.show(x, { frames: [...window, [winner[0], winner[1], "lf-frame"]] });
		output.show(y, { frames: [[r, s, "lf-frame-2"]] });
		upstream.show(dy, { frames: [[r, s, "lf-frame-2"]] });
		back.show(dx, { frames: [[winner[0], winner[1], "lf-frame"]] });
		const total = (values) => values.flat().reduce((a, b) => a + b, 0);
		sums.textContent = `Sum of dy: ${liveFigure.number(total(dy))}; sum of dx: ${liveFigure.number(total(dx))}. ` +
			`The pixel (${winner[0]}, ${winner[1]}) wins window (${r}, ${s}) with ${liveFigure.number(y[r][s])}.`;
		figure.say(sums.textContent);
	}
	redraw();
});
