/* Chapter 3: one entry of a dense layer's output or of its gradients, its row and its column, and the shapes that fit. */

liveFigure.define("dense", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const NAMES = ["x", "W", "b", "y"];
	let [values, N, chosen, product] = [structuredClone(data), 2, { name: "y", i: 0, j: 1 }, null];

	// The arrays: each gradient stands below what it belongs to.

	const input = (name, label, select = null) => figure.matrix(label, [[0]], { select, change: (i, j, value) => {
		(name === "b" ? values.b : values[name][i])[j] = value;
		redraw();
	} });
	const choose = (name) => (i, j) => { if (name !== chosen.name) product = null; chosen = { name, i, j }; redraw(); };
	const matrices = {
		x: input("x", "x, the input"), W: input("W", "W, the weights"), b: input("b", "b, the biases"),
		y: figure.matrix("y, the output", [[0]], { select: choose("y") }),
		dx: figure.matrix("dx, the gradient of x", [[0]], { select: choose("dx") }),
		dW: figure.matrix("dW, the gradient of W", [[0]], { select: choose("dW") }),
		db: figure.matrix("db, the gradient of b", [[0]], { select: choose("db") }),
		dy: input("dy", "dy, the upstream gradient", choose("dy")),
	};
	const named = Object.fromEntries(Object.entries(matrices).map(([name, matrix]) => [name, figure.named(name, matrix, " ")]));
	Object.values(named).forEach((part) => { part.style.overflow = "visible"; }); // the focus lies outside of a cell
	const grid = make("div", { style: "display: grid; grid-template-columns: repeat(4, max-content); gap: 0.6rem 0.9rem; margin: -4px; overflow-x: auto; padding: 4px" },
		...NAMES.map((name) => named[name]), ...NAMES.map((name) => named[`d${name}`]));

	// What is said about the chosen entry

	const story = make("div", { class: "lf-group lf-story", style: "min-height: 6.4rem" });
	const slope = figure.check();
	const examples = figure.select("examples, N", { 2: "2", 3: "3" }, 2, (count) => { N = +count; redraw(); });
	const again = figure.button("as at the beginning", () => {
		[values, N, chosen, product, examples.value] = [structuredClone(data), 2, { name: "y", i: 0, j: 1 }, null, 2];
		redraw();
	});

	// The shapes

	const picture = figure.svg(256, 284, "The product");
	picture.style.maxWidth = "256px";
	const products = figure.select("product", {}, "", (name) => { product = name; redraw(); });
	const fits = figure.check();
	fits.element.style.minHeight = "4.2em";
	figure.add(make("p", { class: "lf-note" }, "Choose an entry of y, or of a gradient in the second line. To change a number of x, W, b or dy, click it twice, or type."));
	const left = make("div", { class: "lf-group", style: "flex: 1 1 21rem; gap: 0.75rem; min-width: 0" }, grid, story, slope.element);
	const right = make("div", { class: "lf-group", style: "flex: 0 1 16rem; min-width: 0" }, products.element, picture, fits.element);
	figure.row(left, right);
	figure.row(examples.element, again);
	figure.add(figure.scale());

	const transpose = (A) => A[0].map((_, j) => A.map((line) => line[j]));
	const array = (A) => cnnlib.array(A, "float64");
	const shape = (A) => `(${A.length}, ${A[0].length})`;

	/** A B, by the engine: that is a dense layer without a bias. */
	function matmul(A, B) {
		const layer = cnnlib.Dense(B.length, B[0].length, { dtype: "float64" });
		layer.W = B;
		return layer.forward(array(A)).toNested();
	}

	function redraw() {
		const [x, dy] = [values.x.slice(0, N), values.dy.slice(0, N)];
		const layer = cnnlib.Dense(3, 2, { dtype: "float64" });
		const [X, W, b] = [array(x), array(values.W), array(values.b)];
		Object.assign(layer, { W, b });
		const y = layer.forward(X).toNested();
		const dx = layer.backward(array(dy)).toNested();
		const all = { x, W: values.W, b: [values.b], y, dx, dW: layer.dW.toNested(), db: [layer.db.toNested()], dy };
		chosen.i = Math.min(chosen.i, all[chosen.name].length - 1);
		const { name, i, j } = chosen;

		// Which entries belong together
		const row = (A, k) => all[A][0].map((_, m) => [A, k, m]);
		const column = (A, k) => all[A].map((_, m) => [A, m, k]);
		const parts = {
			y: () => [...row("x", i), ...column("W", j), ["b", 0, j]],
			dW: () => [...column("x", i), ...column("dy", j)],
			db: () => column("dy", j),
			dx: () => [...row("dy", i), ...row("W", j)],
			dy: () => [...column("dW", j), ["db", 0, j], ...row("dx", i)],
		}[name]();
		for (const [key, matrix] of Object.entries(matrices)) {
			const frames = parts.filter(([A]) => A === key).map(([, r, s]) => [r, s, "lf-frame-2"]);
			matrix.show(all[key], { frames: key === name ? [[i, j, "lf-frame"]] : frames });
			named[key].lastChild.textContent = key.endsWith("b") ? "(2,)" : shape(all[key]);
		}

		const said = tell(all, layer);
		check(all, layer, { x: X, W, b });
		drawProduct(all);
		figure.say(`${said}. ${slope.element.textContent}`);
	}

	// Symbols with indices, which count from 1 as in the chapter's formulas
	const symbol = (A, ...indices) => make("span", { style: "white-space: nowrap" }, A, make("sub", { style: "line-height: 0" }, indices.map((k) => k + 1).join("")));
	const bracket = (value) => (value < 0 ? `(${number(value)})` : number(value));
	const between = (list, sign) => list.flatMap((part, k) => (k ? [sign, part] : [part]));

	function tell(all, layer) {
		const { name, i, j } = chosen;
		const lines = [];
		let said;
		if (name === "dy") {
			// Everything is linear in dy: the share of one entry is the gradient for a dy that is zero elsewhere
			const alone = all.dy.map((line, n) => line.map((value, m) => (n === i && m === j ? value : 0)));
			const dx = layer.backward(array(alone)).toNested();
			const [value, list] = [all.dy[i][j], (numbers) => `(${numbers.map((part) => number(part)).join(", ")})`];
			const outer = [`dW, column ${j + 1}: `, `${bracket(value)} · ${list(all.x[i])} = ${list(layer.dW.toNested().map((line) => line[j]))}`];
			const bias = ["db", `: ${number(layer.db.toNested()[j])}`];
			const back = [`dx, row ${i + 1}: `, `${bracket(value)} · ${list(all.W.map((line) => line[j]))} = ${list(dx[i])}`];
			lines.push([symbol("dy", i, j), ` = ${number(value)} adds to three gradients:`], [outer.join("")],
				[symbol("db", j), bias[1]], [back.join("")]);
			said = `dy, row ${i + 1}, column ${j + 1}, adds to ${outer.join("")}; to db ${j + 1}${bias[1]}; and to ${back.join("")}`;
		} else {
			const terms = {
				y: () => [...all.x[i].map((_, d) => [["x", i, d], ["W", d, j]]), [["b", j]]],
				dW: () => all.x.map((_, n) => [["x", n, i], ["dy", n, j]]),
				db: () => all.dy.map((_, n) => [["dy", n, j]]),
				dx: () => all.dy[i].map((_, m) => [["dy", i, m], ["W", j, m]]),
			}[name]();
			const title = {
				y: `row ${i + 1} of x meets column ${j + 1} of W; the bias is added.`,
				dW: `column ${i + 1} of x meets column ${j + 1} of dy: a sum over the examples.`,
				db: `column ${j + 1} of dy is summed over the examples.`,
				dx: `row ${i + 1} of dy meets row ${j + 1} of W: a sum over the outputs.`,
			}[name];
			const own = name === "db" ? [j] : [i, j];
			const factor = ([A, r, s]) => (A === "b" ? all.b[0][r] : all[A][r][s]);
			const sum = terms.map((term, k) => term.map((part, f) => (k + f ? bracket : number)(factor(part))).join(" · ")).join(" + ");
			const numbers = `${sum} = ${number(all[name][name === "db" ? 0 : i][j])}`;
			lines.push([symbol(name, ...own), ": ", title],
				[symbol(name, ...own), " = ", ...between(terms.map((term) => make("span", {}, ...between(term.map((part) => symbol(...part)), " "))), " + ")],
				[`= ${numbers}`]);
			said = `${name} ${own.map((k) => k + 1).join(", ")}: ${title} ${numbers}`;
		}
		story.replaceChildren(...lines.map((line) => make("p", {}, ...line)));
		return said;
	}

	/** The loss whose upstream gradient is dy: L = sum of dy y. Its central difference beside the gradient. */
	function check(all, layer, arrays) {
		const { name, i, j } = chosen;
		slope.element.style.visibility = name === "y" || name === "dy" ? "hidden" : "visible";
		if (name === "y" || name === "dy") { slope.show(true, ""); return; }
		const of = name.slice(1);
		const weights = array(all.dy).data;
		let size = 0;
		const L = () => {
			const terms = Array.from(layer.forward(arrays.x).data, (value, k) => weights[k] * value);
			size = terms.reduce((sum, term) => sum + Math.abs(term), 0);
			return terms.reduce((sum, term) => sum + term, 0);
		};
		const [measured] = cnnlib.numerical_gradient(L, arrays[of], [of === "b" ? j : i * all[of][0].length + j]);
		const claimed = all[name][i][j];
		slope.show(Math.abs(measured - claimed) <= 1e-6 * Math.max(1, Math.abs(claimed)) + 1e-9 * size,
			`Central difference: ${number(measured)}. Gradient: ${number(claimed)}.`);
	}

	// Products: factors, transposed or not; the first of each list is the right one.
	const ONES = "1ᵀ";
	const PRODUCTS = {
		y: [["x", "W"], ["x", "Wᵀ"], ["W", "x"]],
		dW: [["xᵀ", "dy"], ["x", "dy"], ["dyᵀ", "x"]],
		db: [[ONES, "dy"], ["dy", "1"]],
		dx: [["dy", "Wᵀ"], ["dy", "W"], ["W", "dyᵀ"]],
		dy: [["xᵀ", "dy"], [ONES, "dy"], ["dy", "Wᵀ"]],
	};

	function drawProduct(all) {
		const { name, i, j } = chosen;
		const list = PRODUCTS[name];
		const key = ([A, B]) => `${A} ${B}`;
		if (!list.some((pair) => key(pair) === product)) product = key(list[0]);
		if (products.input.dataset.of !== name) {
			products.input.dataset.of = name;
			products.input.replaceChildren(...list.map((pair) => make("option", { value: key(pair) }, key(pair))));
		}
		products.value = product;
		const place = list.findIndex((pair) => key(pair) === product);
		const target = name === "dy" ? ["dW", "db", "dx"][place] : name;
		const right = name === "dy" || place === 0;
		const factor = (text) => {
			if (text === ONES) return [Array(N).fill(1)];
			if (text === "1") return all.dy[0].map(() => [1]);
			return text.endsWith("ᵀ") ? transpose(all[text.slice(0, -1)]) : all[text];
		};
		const [A, B] = list[place].map(factor);
		const agree = A[0].length === B.length;
		const C = agree ? matmul(A, B) : null;

		// Left factor below, right factor above: rows and columns meet in the corner. One unit is one entry.
		const [unit, top, edge] = [30, 22, 18];
		const at = { A: [edge, top + unit * B.length + 26], B: [edge + unit * A[0].length + 26, top] };
		at.C = [at.B[0], at.A[1]];
		const shade = (part, r, s) => {
			const spot = (place) => (name === "dy"
				? { A: target === "dx" ? r === i && s === j : target === "dW" && s === i, B: target === "dx" ? s === j : r === i && s === j, C: target === "dx" ? r === i : s === j }
				: { A: r === i, B: s === j, C: r === i && s === j })[place];
			return spot(part);
		};
		const block = (part, M, title, dashed) => {
			const [x0, y0] = at[part];
			const cells = M.flatMap((line, r) => line.flatMap((value, s) => [
				draw("rect", { x: x0 + unit * s, y: y0 + unit * r, width: unit, height: unit, style: `stroke: var(--lf-line); fill: ${!dashed && shade(part, r, s) ? "color-mix(in srgb, var(--lf-accent) 24%, transparent)" : "none"}; ${dashed ? "stroke-dasharray: 3 3" : ""}` }),
				draw("text", { x: x0 + unit * (s + 0.5), y: y0 + unit * (r + 0.5) + 4, "text-anchor": "middle" }, dashed ? "?" : number(value, 2)),
			]));
			const below = part === "C";
			return [...cells, draw("text", { x: below ? x0 : part === "A" ? 2 : x0, y: below ? y0 + unit * M.length + 18 : y0 - 7, style: "font-weight: 600" }, title)];
		};
		const ink = agree ? "var(--lf-accent)" : "var(--lf-negative)";
		const bar = (d, x, y, size) => [
			draw("path", { d, style: `stroke: ${ink}; stroke-width: 4; fill: none; ${agree ? "" : "stroke-dasharray: 5 3"}` }),
			draw("text", { x, y, "text-anchor": "middle", style: "font-weight: 600" }, size),
		];
		const [aBottom, bLeft] = [at.A[1] + unit * A.length + 4, at.B[0] - 4];
		picture.replaceChildren(
			...block("A", A, `${list[place][0]} ${shape(A)}`), ...block("B", B, `${list[place][1]} ${shape(B)}`),
			...block("C", C ?? A.map(() => B[0].map(() => 0)), C ? shape(C) : "", !C),
			...bar(`M ${at.A[0]} ${aBottom} h ${unit * A[0].length}`, at.A[0] + unit * A[0].length / 2, aBottom + 15, A[0].length),
			...bar(`M ${bLeft} ${at.B[1]} v ${unit * B.length}`, bLeft - 9, at.B[1] + unit * B.length / 2 + 4, B.length));
		picture.setAttribute("aria-label", `The product ${product}: ${shape(A)} times ${shape(B)}${C ? ` gives ${shape(C)}` : " does not fit"}.`);

		const wanted = shape(all[target]);
		const before = name === "y" ? matmul(all.x, all.W) : all[target]; // without the bias
		const same = C && shape(C) === wanted && C.flat().every((value, k) => Math.abs(value - before.flat()[k]) <= 1e-9 * Math.max(1, Math.abs(value)));
		const is = target === "db" ? "(2,)" : wanted;
		let text = `The sizes inside agree (${B.length}), and ${shape(C ?? A)} is the shape of ${target}.`;
		if (right && name === "y") text = `The sizes inside agree (${B.length}), and ${wanted} is the shape of y. The bias is added to each row.`;
		if (right && target === "db") text = `The sizes inside agree (${B.length}): a row of ones sums dy over the examples.`;
		if (!agree) text = `The sizes inside differ: ${A[0].length} and ${B.length}. There is no such product.`;
		else if (shape(C) !== wanted) text = `It has the shape ${shape(C)}, but ${target} needs ${is}.`;
		else if (!same) text = `The shape is right, ${wanted}, but the numbers are not those of ${target}.`;
		fits.show(Boolean(same), text);
	}

	redraw();
});
