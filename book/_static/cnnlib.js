/* The layers of the Python library `cnnlib`, in the page: one global object, for figures and for the console.

     const layer = cnnlib.Dense(3, 2);                // as in Python; `new` may stand before it
     const y = layer.forward([[1, 2, 3]]);            // nested lists, or arrays: {shape, data}
     layer.backward([[1, 0]]).toNested();             // dL/dx; layer.dW and layer.db are set
     cnnlib.Convolutional(1, 6, 5, { padding: "same", dtype: "float64" });

   Names, shapes, defaults and formulas are the library's; tests/site/test_engine.py compares every number with it. All
   is one function that refers to nothing outside of it, so that its text can be handed over to a worker: a page that is
   opened from the disk cannot load a file into one. */

var cnnlib = (function engine() {
"use strict";

const { abs, ceil, exp, floor, imul, log, max, min, sqrt } = Math;

// Errors, under the names that they have in Python

class ValueError extends RangeError { name = "ValueError"; }
class RuntimeError extends Error { name = "RuntimeError"; }

const show = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`; // a shape as Python prints it
const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

function check(fits, message) {
	if (!fits) throw new ValueError(message);
}

function check_shape(what, expected, got) {
	check(`${expected}` === `${got}`, `${what}: expected the shape ${show(expected)}, got ${show(got)}`);
}

function check_int(name, value, least = 1) {
	if (!Number.isInteger(value)) throw new TypeError(`${name} must be a whole number, got ${value}`);
	check(value >= least, `${name} must be at least ${least}, got ${value}`);
}

function choose(table, what, name) {
	check(Object.hasOwn(table, name), `${what} must be one of ${Object.keys(table).join(", ")}; got ${name}`);
	return table[name];
}

// Arrays

const TYPES = { float32: Float32Array, float64: Float64Array };
const TINY = { float32: 2 ** -126, float64: 2 ** -1022 }; // the smallest normal numbers

/** Numbers in a typed array, row by row (the last index runs fastest), and their shape. */
class NDArray {
	constructor(shape, data) {
		check(product(shape) === data.length, `${data.length} numbers do not fill an array of shape ${show(shape)}`);
		Object.assign(this, { shape, data });
	}

	get dtype() { return this.data instanceof Float32Array ? "float32" : "float64"; }
	get length() { return this.shape[0]; }
	reshape(...shape) { return new NDArray(shape, this.data); }

	/** A view of the examples from start to before end. */
	slice(start, end = this.length) {
		const [size, rest] = [this.data.length / this.length, this.shape.slice(1)];
		end = min(end, this.length);
		return new NDArray([end - start, ...rest], this.data.subarray(start * size, end * size));
	}

	/** A copy of these examples. */
	take(indices) {
		const taken = zeros([indices.length, ...this.shape.slice(1)], this.dtype);
		indices.forEach((n, k) => row(taken, k).set(row(this, n)));
		return taken;
	}

	astype(dtype) { return new NDArray([...this.shape], typed(dtype).from(this.data)); }
	copy() { return this.astype(this.dtype); }

	/** A new array: f(value, place in the data) of every number. */
	map(f) {
		const result = zeros(this.shape, this.dtype);
		for (let k = 0, from = this.data, to = result.data; k < to.length; k++) to[k] = f(from[k], k);
		return result;
	}

	toNested() {
		const nest = ([size, ...rest], start) => {
			if (size === undefined) return this.data[start];
			return Array.from({ length: size }, (_, i) => nest(rest, start + i * product(rest)));
		};
		return nest(this.shape, 0);
	}

	toString() { return `array of shape ${show(this.shape)}, ${this.dtype}`; }
}

const typed = (dtype) => choose(TYPES, "dtype", dtype);
const zeros = (shape, dtype = "float32") => new NDArray([...shape], new (typed(dtype))(product(shape)));

/** A new array from a number, nested lists, a typed array, an array, or {shape, data}, as `postMessage` leaves one.
   Without a dtype: that of what is given; of lists and numbers, float64. */
function array(values, dtype) {
	if (ArrayBuffer.isView(values?.data)) return array(values.data, dtype).reshape(...values.shape);
	dtype ??= values instanceof Float32Array ? "float32" : "float64";
	const isList = (value) => Array.isArray(value) || ArrayBuffer.isView(value);
	const shape = [];
	for (let inner = values; isList(inner); inner = inner[0]) shape.push(inner.length);
	const result = zeros(shape, dtype);
	let place = 0;
	const fill = (value, axis) => {
		const fits = isList(value) ? value.length === shape[axis] : axis === shape.length;
		check(fits, `rows of an array must be equally long, as its first: ${show(shape)}`);
		if (isList(value)) for (const inner of value) fill(inner, axis + 1);
		else if (typeof value === "number") result.data[place++] = value;
		else throw new TypeError(`an array holds numbers, got ${value}`);
	};
	if (ArrayBuffer.isView(values)) result.data.set(values);
	else fill(values, 0);
	return result;
}

// The same without a copy, if that is possible.
const as_array = (values, dtype) =>
	values instanceof NDArray && (dtype ?? values.dtype) === values.dtype ? values : array(values, dtype);

// Example n, as a view of the data.
const row = (x, n) => x.slice(n, n + 1).data;

function each_row(x, visit) {
	for (let n = 0; n < x.length; n++) visit(row(x, n), n);
}

function sum_over(values, f = (value) => value) {
	let sum = 0;
	for (let k = 0; k < values.length; k++) sum += f(values[k], k);
	return sum;
}

// f(value, channel, place in the data) of every number of (N, C, ...), in a new array
function channel_map(x, f) {
	const [result, [, C], size] = [zeros(x.shape, x.dtype), x.shape, product(x.shape.slice(2))];
	for (let k = 0, from = x.data, to = result.data; k < to.length; )
		for (let c = 0; c < C; c++) for (const end = k + size; k < end; k++) to[k] = f(from[k], c, k);
	return result;
}

// The sum of f(value, channel, place in the data) over every channel of (N, C, ...): an array (C,)
function channel_sums(x, f = (value) => value) {
	const [sums, [, C], size] = [new Float64Array(x.shape[1]), x.shape, product(x.shape.slice(2))];
	for (let k = 0, from = x.data; k < from.length; )
		for (let c = 0; c < C; c++) for (const end = k + size; k < end; k++) sums[c] += f(from[k], c, k);
	return array(sums, x.dtype);
}

/* Call visit(first, step, end) for every example of (N, M), and for every pixel of every example of (N, M, H, W): its M
   numbers lie in the data at first, first + step, ..., before end. */
function each_position({ shape: [N, M, ...sizes] }, visit) {
	const step = product(sizes);
	for (let n = 0; n < N; n++)
		for (let first = n * M * step, p = 0; p < step; p++, first++) visit(first, step, first + M * step);
}

// Of the numbers at first, first + step, ...: the largest, and the sum of exp(number - largest), which cannot overflow.
function sum_exp(data, first, step, end) {
	let [largest, sum] = [-Infinity, 0];
	for (let k = first; k < end; k += step) largest = max(largest, data[k]);
	for (let k = first; k < end; k += step) sum += exp(data[k] - largest);
	return [largest, sum];
}

// The matrix product, in which nearly all of the time goes

/* Number (i, j) of a matrix lies at rows[i] + columns[j] in some data. So a transpose copies nothing, and what `im2col`
   would copy is a matrix of this kind, too: see `patches`. */
class Matrix {
	constructor(data, rows, columns) {
		Object.assign(this, { data, rows, columns });
	}

	get T() { return new Matrix(this.data, this.columns, this.rows); }
}

// So many numbers, `step` apart, after each number of `from`
function steps(count, step, from = [0]) {
	const list = new Int32Array(from.length * count);
	for (let i = 0, to = 0; i < from.length; i++) for (let k = 0; k < count; k++) list[to++] = from[i] + k * step;
	return list;
}

// An array as a matrix of so many rows, by default those of its first axis.
const matrix = ({ data, length }, rows = length) =>
	new Matrix(data, steps(rows, data.length / rows), steps(data.length / rows, 1));

// Memory that every product uses; it only grows
let panel = new Float64Array(0);
let converted = new Float64Array(0);
const S = new Float64Array(16); // sums

/* C += A @ B.

   A sum of products reads two numbers for each multiplication. Sixteen sums at once, of four rows of A and four columns
   of B, read eight for sixteen: hence blocks of 4 x 4. Where four are not left, the last is computed again, and not
   stored. The innermost loop sees only float64, in which JavaScript computes anyway, and A in the order of reading. */
function add_matmul(A, B, C) {
	const [M, K] = [A.rows.length, A.columns.length];
	if (panel.length < (M + 3) * K) panel = new Float64Array((M + 3) * K);
	for (let i = 0; i < M + 3; i++) {
		const [from, start, to] = [A.data, A.rows[min(i, M - 1)], (i - (i % 4)) * K + (i % 4)];
		for (let k = 0; k < K; k++) panel[to + 4 * k] = from[start + A.columns[k]];
	}
	let from = B.data;
	if (!(from instanceof Float64Array)) {
		if (converted.length < from.length) converted = new Float64Array(from.length);
		converted.set(from);
		from = converted;
	}
	multiply(panel, from, B.rows, B.columns, C.data, C.rows, C.columns);
}

function multiply(A, B, B_rows, B_columns, C, C_rows, C_columns) {
	const M = C_rows.length, K = B_rows.length, N = C_columns.length;
	for (let j = 0; j < N; j += 4) {
		const j0 = B_columns[j], j1 = B_columns[min(j + 1, N - 1)];
		const j2 = B_columns[min(j + 2, N - 1)], j3 = B_columns[min(j + 3, N - 1)];
		for (let i = 0; i < M; i += 4) {
			let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
			let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
			for (let k = 0, p = i * K; k < K; k++, p += 4) {
				const q = B_rows[k];
				const b0 = B[q + j0], b1 = B[q + j1], b2 = B[q + j2], b3 = B[q + j3];
				let a = A[p];
				s00 += a * b0; s01 += a * b1; s02 += a * b2; s03 += a * b3;
				a = A[p + 1];
				s10 += a * b0; s11 += a * b1; s12 += a * b2; s13 += a * b3;
				a = A[p + 2];
				s20 += a * b0; s21 += a * b1; s22 += a * b2; s23 += a * b3;
				a = A[p + 3];
				s30 += a * b0; s31 += a * b1; s32 += a * b2; s33 += a * b3;
			}
			S[0] = s00; S[1] = s01; S[2] = s02; S[3] = s03;
			S[4] = s10; S[5] = s11; S[6] = s12; S[7] = s13;
			S[8] = s20; S[9] = s21; S[10] = s22; S[11] = s23;
			S[12] = s30; S[13] = s31; S[14] = s32; S[15] = s33;
			const rows = min(M - i, 4), columns = min(N - j, 4);
			for (let r = 0; r < rows; r++)
				for (let c = 0; c < columns; c++) C[C_rows[i + r] + C_columns[j + c]] += S[4 * r + c];
		}
	}
}

// Randomness

// The same seed, the same numbers (but not NumPy's); no seed, others each time.
class Generator {
	constructor(seed = floor(Math.random() * 2 ** 32)) {
		check_int("seed", seed, 0);
		this.state = seed;
	}

	/** Uniform, from 0 to below 1: the generator mulberry32. */
	random() {
		this.state = (this.state + 0x6d2b79f5) | 0;
		let z = imul(this.state ^ (this.state >>> 15), this.state | 1);
		z ^= z + imul(z ^ (z >>> 7), z | 61);
		return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
	}

	/** By Box and Muller; 1 - random() is never 0. */
	normal() { return sqrt(-2 * log(1 - this.random())) * Math.cos(2 * Math.PI * this.random()); }

	/** 0 to count - 1 in a random order. */
	permutation(count) {
		const keys = Array.from({ length: count }, (_, n) => [this.random(), n]);
		return keys.sort(([a], [b]) => a - b).map(([, n]) => n);
	}
}

const INITIALIZERS = {
	he: (fan_in, fan_out, rng) => sqrt(2 / fan_in) * rng.normal(),
	glorot: (fan_in, fan_out, rng) => sqrt(6 / (fan_in + fan_out)) * (2 * rng.random() - 1),
	zeros: () => 0,
};

// Layers

const REQUIRED = Symbol("required");

// What stores the arguments of its constructor, given in order or by name, under their names.
class Configured {
	static settings = {}; // every argument and its default

	constructor(...given) {
		const { settings, name: own } = this.constructor;
		const names = Object.keys(settings);
		const named = given.at(-1)?.constructor === Object ? given.pop() : {};
		const open = [...names.slice(given.length), "rng", "dtype"];
		const wrong = given[names.length] ?? Object.keys(named).find((name) => !open.includes(name));
		if (wrong !== undefined) throw new TypeError(`${own} has the arguments ${names}, each once; not ${wrong}`);
		names.forEach((name, place) => {
			this[name] = given[place] ?? named[name] ?? settings[name];
			if (this[name] === REQUIRED) throw new TypeError(`${own} needs the argument ${name}`);
		});
		this.check();
		this.initialize(named);
	}

	check() {}
	initialize() {}
	check_ints(...names) { names.forEach((name) => check_int(name, this[name])); }

	get config() {
		return Object.fromEntries(Object.keys(this.constructor.settings).map((name) => [name, this[name]]));
	}

	toString() {
		const settings = Object.entries(this.config).map(([name, value]) => `${name}=${value}`);
		return `${this.constructor.name}(${settings.join(", ")})`;
	}
}

/* A differentiable function y = f(x), with, perhaps, trainable arrays. A subclass writes
     settings, check()      its arguments, their defaults and limits;
     parameter_shapes()     the names and shapes of its trainable arrays; those of W are drawn, with `fans()`;
     statistic_shapes()     the same for arrays that training changes, but not the optimizer;
     output_shape(shape)    of one example, from that of an input; ValueError if it does not fit;
     _forward(x)            returns y, for an array x that fits, and does not change x;
     _backward(dy, x, y)    sets dW beside W and returns dx; or null, if nobody `needs_dx`.
   What checks and converts stands here, in no layer. */
class Layer extends Configured {
	initialize({ rng = new Generator(), dtype = "float32" }) {
		for (const [name, shape] of Object.entries(this.parameter_shapes())) {
			this[name] = zeros(shape, dtype);
			const draw = rng && name === "W" && choose(INITIALIZERS, "initializer", this.initializer);
			if (draw) this.W = this.W.map(() => draw(...this.fans(), rng));
		}
	}

	parameter_shapes() { return {}; }
	statistic_shapes() { return {}; }
	get params() { return Object.keys(this.parameter_shapes()); }

	/** That of the parameters; undefined without any: that of the input. */
	get dtype() { return this.params.map((name) => as_array(this[name]).dtype)[0]; }
	output_shape(shape) { return shape; }

	/** y = f(x), for a batch x (N, ...). */
	forward(x) {
		const { dtype } = this;
		for (const [name, shape] of Object.entries({ ...this.parameter_shapes(), ...this.statistic_shapes() })) {
			this[name] = as_array(this[name], dtype); // `layer.W = [[1, 2]]` is allowed
			check_shape(`${this}, ${name}`, shape, this[name].shape);
		}
		x = as_array(x, dtype);
		check(x.shape.length > 1, `${this} expected a batch of examples (N, ...), got an ${x}`);
		this.output_shape(x.shape.slice(1));
		this.last = { x, y: this._forward(x) };
		return this.last.y;
	}

	/** dL/dx from dL/dy; sets dL/dparameter for every parameter. */
	backward(dy) {
		if (!this.last) throw new RuntimeError(`${this}: forward comes before backward`);
		const { x, y } = this.last;
		dy = as_array(dy, y.dtype);
		check_shape(`${this}, dy`, y.shape, dy.shape);
		return this._backward(dy, x, y);
	}

	/** The trainable arrays by name: the arrays themselves, so that changing one changes the layer. */
	parameters() { return this.collect(""); }

	/** The gradients, under the names of their parameters. */
	gradients() {
		const found = this.collect("d");
		if (Object.values(found).includes(undefined)) throw new RuntimeError(`${this}: backward comes before gradients`);
		return found;
	}

	collect(prefix) { return Object.fromEntries(this.params.map((name) => [name, this[prefix + name]])); }

	/** Parameters and statistics of this layer itself, by name. */
	saved_arrays() {
		const names = [...this.params, ...Object.keys(this.statistic_shapes())];
		return Object.fromEntries(names.map((name) => [name, this[name]]));
	}

	astype(dtype) {
		for (const layer of leaves(this))
			for (const name of Object.keys(layer.saved_arrays())) layer[name] = array(layer[name], dtype);
		return this;
	}
}
Object.assign(Layer.prototype, { needs_dx: true, training: false });

/** Set the mode of a layer and of all layers in it; for training, what draws. */
function set_training(layer, training, rng) {
	for (const each of leaves(layer)) Object.assign(each, { training }, rng && { rng });
}

/** y = x @ W + b: x (N, D), W (D, M), b (M,), y (N, M). */
class Dense extends Layer {
	static settings = { inputs: REQUIRED, outputs: REQUIRED, initializer: "he" };

	check() { this.check_ints("inputs", "outputs"); }
	parameter_shapes() { return { W: [this.inputs, this.outputs], b: [this.outputs] }; }
	fans() { return [this.inputs, this.outputs]; }
	output_shape(shape) {
		check_shape(`${this}, an example`, [this.inputs], shape);
		return [this.outputs];
	}

	_forward(x) {
		const y = zeros([x.length, this.outputs], x.dtype);
		each_row(y, (y_n) => y_n.set(this.b.data));
		add_matmul(matrix(x), matrix(this.W), matrix(y)); // y = b + x @ W
		return y;
	}

	_backward(dy, x) {
		this.dW = zeros(this.W.shape, dy.dtype);
		add_matmul(matrix(x).T, matrix(dy), matrix(this.dW)); // dW = x.T @ dy
		this.db = this.b.map((_, m) => sum_over(steps(x.length, this.outputs), (k) => dy.data[k + m]));
		if (!this.needs_dx) return null;
		const dx = zeros(x.shape, dy.dtype);
		add_matmul(matrix(dy), matrix(this.W).T, matrix(dx)); // dx = dy @ W.T
		return dx;
	}
}

// How many windows, `stride` apart, lie side by side.
const places = (sizes, window, stride) => sizes.map((size) => floor((size - window) / stride) + 1);

/* Every patch of an image (C, H, W) as a column: number ((c, i, j), (r, s)) of this matrix is pixel (c, r stride + i,
   s stride + j). A pixel of several patches is in several places of the matrix, but once in memory. So to read the
   matrix is `im2col`, and to add to it is `col2im`, both without a copy. */
function patches(image, C, H, W, K, stride) {
	const [h, w] = places([H, W], K, stride);
	const rows = steps(K, 1, steps(K, W, steps(C, H * W)));
	return new Matrix(image, rows, steps(w, stride, steps(h, stride * W)));
}

/* What a convolution works in: a padded image, its patches, and how to copy example n of x into the image, and back.
   Between the images (N, C, H, W) and the patches stand the pad_width, kernel_size and stride of the layer. */
function workspace(layer, [, C, H, W]) {
	const [[above, below], [left, right]] = layer.pad_width(H, W);
	const [high, wide] = [above + H + below, left + W + right];
	const image = new Float64Array(C * high * wide);
	const copy = (n, visit) => {
		for (let line = 0, out = n * C * H * W; line < C * H; line++) {
			const start = (floor(line / H) * high + above + (line % H)) * wide + left;
			for (let at = start; at < start + W; at++, out++) visit(at, out);
		}
	};
	const load = (x, n) => {
		image.fill(0);
		copy(n, (at, out) => (image[at] = x[out]));
	};
	const store = (x, n) => copy(n, (at, out) => (x[out] = image[at]));
	return { image, load, store, cols: patches(image, C, high, wide, layer.kernel_size, layer.stride) };
}

// Call visit(place in x, place in cols) for each number of cols; return the shape of cols.
function each_entry(shape, kernel_size, stride, visit) {
	check_int("kernel_size", kernel_size);
	check_int("stride", stride);
	const [N, C, H, W] = shape;
	const fits = shape.length === 4 && min(H, W) >= kernel_size;
	check(fits, `a kernel of ${kernel_size}x${kernel_size} needs larger images (N, C, H, W), got ${show(shape)}`);
	const { rows, columns } = patches(null, C, H, W, kernel_size, stride);
	let entry = 0;
	for (const row of rows)
		for (const column of columns) for (let n = 0; n < N; n++) visit(n * C * H * W + row + column, entry++);
	return [rows.length, columns.length * N];
}

/** Patches of x (N, C, H, W) as columns: (C K K, h w N), row (c, i, j), column (r, s, n). */
function im2col(x, kernel_size, stride = 1) {
	x = as_array(x);
	const values = [];
	const shape = each_entry(x.shape, kernel_size, stride, (pixel) => values.push(x.data[pixel]));
	return array(values, x.dtype).reshape(...shape);
}

/** Columns added back to the pixels of images (N, C, H, W) that they come from: the transpose of `im2col`. */
function col2im(cols, shape, kernel_size, stride = 1) {
	cols = as_array(cols);
	const x = zeros(shape, cols.dtype);
	const add = (pixel, entry) => (x.data[pixel] += cols.data[entry]);
	check_shape("cols", each_entry(shape, kernel_size, stride, add), cols.shape);
	return x;
}

// The shape (C, h, w) of what a layer's windows find in padded images.
function window_shape(layer, input_shape, window, pad_width = [], stride = layer.stride) {
	const [C, ...sizes] = input_shape;
	const padded = sizes.map((size, axis) => size + sum_over(pad_width[axis] ?? []));
	check(sizes.length === 2, `${layer} expected images (C, H, W), got ${show(input_shape)}`);
	check(min(...padded) >= window, `${layer} needs images larger than its window, got ${show(input_shape)}`);
	return [C, ...places(padded, window, stride)];
}

/** y[n, f, r, s] = b[f] + sum over c, i, j of W[f, c, i, j] x[n, c, r stride + i, s stride + j], on the padded image:
   x (N, C, H, W), W (F, C, K, K), b (F,), y (N, F, h, w). Image by image a matrix product: see `patches`. */
class Convolutional extends Layer {
	static settings = {
		...{ channels: REQUIRED, filters: REQUIRED, kernel_size: REQUIRED },
		...{ stride: 1, padding: "valid", initializer: "he" },
	};

	check() {
		this.check_ints("channels", "filters", "kernel_size", "stride");
		if (typeof this.padding === "string") choose({ valid: 0, same: 0 }, "padding, if no number,", this.padding);
		else check_int("padding", this.padding, 0);
	}

	parameter_shapes() {
		return { W: [this.filters, this.channels, this.kernel_size, this.kernel_size], b: [this.filters] };
	}

	fans() { return [this.channels, this.filters].map((count) => count * this.kernel_size ** 2); }

	/** The zeros around an image: [[above, below], [left, right]]. */
	pad_width(...sizes) {
		return sizes.map((size) => {
			if (this.padding !== "same") return this.padding === "valid" ? [0, 0] : [this.padding, this.padding];
			const total = max((ceil(size / this.stride) - 1) * this.stride + this.kernel_size - size, 0);
			return [floor(total / 2), ceil(total / 2)]; // an odd one goes below and right
		});
	}

	output_shape(shape) {
		const pad_width = this.pad_width(...shape.slice(1));
		const [C, h, w] = window_shape(this, shape, this.kernel_size, pad_width);
		check(C === this.channels, `${this} expected (${this.channels}, H, W), got ${show(shape)}`);
		return [this.filters, h, w];
	}

	_forward(x) {
		const { cols, load } = workspace(this, x.shape);
		const y = zeros([x.length, ...this.output_shape(x.shape.slice(1))], x.dtype);
		each_row(y, (data, n) => {
			load(x.data, n);
			const y_n = matrix({ data }, this.filters);
			y_n.rows.forEach((start, f) => data.fill(this.b.data[f], start, start + y_n.columns.length));
			add_matmul(matrix(this.W), cols, y_n); // y = b + W @ cols
		});
		return y;
	}

	_backward(dy, x) {
		const { image, cols, load, store } = workspace(this, x.shape);
		this.dW = zeros(this.W.shape, dy.dtype);
		this.db = channel_sums(dy);
		const dx = this.needs_dx ? zeros(x.shape, dy.dtype) : null;
		each_row(dy, (data, n) => {
			load(x.data, n);
			const dy_n = matrix({ data }, this.filters);
			add_matmul(dy_n, cols.T, matrix(this.dW)); // dW += dy @ cols.T
			if (!dx) return;
			image.fill(0);
			add_matmul(matrix(this.W).T, dy_n, cols); // dcols = W.T @ dy, and what falls on one pixel is added up
			store(dx.data, n);
		});
		return dx;
	}
}

/** y[n, f, r, s] = b[f] + sum of W[c, f, i, j] x[n, c, u, v] over u stride + i - padding = r, and likewise s: what the
   backward pass of a convolution does. W (C, F, K, K); h = (H - 1) stride + K - 2 padding. */
class TransposedConvolution extends Layer {
	static settings = {
		...{ channels: REQUIRED, filters: REQUIRED, kernel_size: REQUIRED },
		...{ stride: 1, padding: 0, initializer: "he" },
	};

	check() {
		this.check_ints("channels", "filters", "kernel_size", "stride");
		check_int("padding", this.padding, 0);
	}

	parameter_shapes() {
		return { W: [this.channels, this.filters, this.kernel_size, this.kernel_size], b: [this.filters] };
	}

	fans() { return [this.channels / this.stride ** 2, this.filters].map((count) => count * this.kernel_size ** 2); }
	pad_width() { return Array(2).fill([this.padding, this.padding]); }
	output_shape(shape) {
		const [C, ...sizes] = shape;
		check(sizes.length === 2 && C === this.channels, `${this} expected (${this.channels}, H, W), got ${show(shape)}`);
		const larger = sizes.map((size) => (size - 1) * this.stride + this.kernel_size - 2 * this.padding);
		check(min(...larger) >= 1, `${this}: the padding cuts everything off, for the shape ${show(shape)}`);
		return [this.filters, ...larger];
	}

	_forward(x) {
		const y = zeros([x.length, ...this.output_shape(x.shape.slice(1))], x.dtype);
		const { image, cols, store } = workspace(this, y.shape);
		each_row(x, (data, n) => {
			image.fill(0);
			add_matmul(matrix(this.W).T, matrix({ data }, this.channels), cols); // cols = W.T @ x, added up in the image
			store(y.data, n);
		});
		return channel_map(y, (value, f) => value + this.b.data[f]);
	}

	_backward(dy, x) {
		const { cols, load } = workspace(this, dy.shape);
		this.dW = zeros(this.W.shape, dy.dtype);
		this.db = channel_sums(dy);
		const dx = zeros(x.shape, dy.dtype);
		each_row(x, (data, n) => {
			load(dy.data, n);
			add_matmul(matrix({ data }, this.channels), cols.T, matrix(this.dW)); // dW += x @ dcols.T
			add_matmul(matrix(this.W), cols, matrix({ data: row(dx, n) }, this.channels)); // dx = W @ dcols
		});
		return dx;
	}
}

/** The largest value of every window. dy goes to it, and to no other: of several equally large ones, to the first. */
class MaxPooling extends Layer {
	static settings = { size: 2, stride: null };

	check() {
		this.stride ??= this.size;
		this.check_ints("size", "stride");
	}

	output_shape(shape) { return window_shape(this, shape, this.size); }
	_forward(x) {
		const [{ size, stride }, [N, C, H, W]] = [this, x.shape];
		const [, h, w] = this.output_shape([C, H, W]);
		const y = zeros([N, C, h, w], x.dtype);
		// Where in x.data every number of y comes from
		this.is_max = new Int32Array(y.data.length);
		const [{ data: values }, { is_max }] = [x, this];
		for (let image = 0, to = 0; image < N * C; image++)
			for (let r = 0; r < h; r++)
				for (let s = 0; s < w; s++, to++) {
					const corner = (image * H + r * stride) * W + s * stride;
					let best = corner;
					for (let i = 0; i < size; i++)
						for (let j = 0, at = corner + i * W; j < size; j++, at++)
							if (values[at] > values[best] || values[at] !== values[at]) best = at; // as in NumPy, NaN wins
					is_max[to] = best;
					y.data[to] = values[best];
				}
		return y;
	}

	_backward(dy, x) {
		const dx = zeros(x.shape, dy.dtype);
		this.is_max.forEach((from, k) => (dx.data[from] += dy.data[k])); // += : windows may overlap
		return dx;
	}
}

// Call visit(place in x, place in y) for each pixel of a block of size x size, and the one pixel for the whole block.
function each_block([N, C, H, W], size, visit) {
	const [h, w] = places([H, W], size, size);
	for (let image = 0; image < N * C; image++)
		for (let r = 0; r < h * size; r++)
			for (let s = 0; s < w * size; s++)
				visit((image * H + r) * W + s, (image * h + floor(r / size)) * w + floor(s / size));
}

/** The mean of every window; without a size, one window is the whole image, and y is (N, C). */
class AveragePooling extends Layer {
	static settings = { size: null };

	check() { if (this.size !== null) this.check_ints("size"); }
	output_shape(shape) {
		if (this.size !== null) return window_shape(this, shape, this.size, [], this.size);
		check(shape.length === 3, `${this} expected images (C, H, W), got ${show(shape)}`);
		return shape.slice(0, 1);
	}

	_forward(x) {
		if (this.size === null) return channel_means(x);
		const y = zeros([x.length, ...this.output_shape(x.shape.slice(1))], x.dtype);
		each_block(x.shape, this.size, (from, to) => (y.data[to] += x.data[from]));
		return y.map((sum) => sum / this.size ** 2);
	}

	_backward(dy, x) {
		const [dx, area] = [zeros(x.shape, dy.dtype), x.data.length / dy.data.length];
		if (this.size === null) return dx.map((_, k) => dy.data[floor(k / area)] / area);
		each_block(x.shape, this.size, (to, from) => (dx.data[to] = dy.data[from] / this.size ** 2));
		return dx;
	}
}

// The mean of every image of (N, C, H, W): an array (N, C).
function channel_means(x) {
	const [sums, size] = [zeros(x.shape.slice(0, 2), x.dtype), product(x.shape.slice(2))];
	return sums.map((_, image) => sum_over(x.data.subarray(image * size, (image + 1) * size)) / size);
}

/** Every pixel repeated in a block of size x size; the gradient of a pixel is the sum over its block. */
class Upsampling extends Layer {
	static settings = { size: 2 };

	check() { this.check_ints("size"); }
	output_shape(shape) {
		check(shape.length === 3, `${this} expected images (C, H, W), got ${show(shape)}`);
		return [shape[0], ...shape.slice(1).map((size) => size * this.size)];
	}

	_forward(x) {
		const y = zeros([x.length, ...this.output_shape(x.shape.slice(1))], x.dtype);
		each_block(y.shape, this.size, (to, from) => (y.data[to] = x.data[from]));
		return y;
	}

	_backward(dy, x) {
		const dx = zeros(x.shape, dy.dtype);
		each_block(dy.shape, this.size, (from, to) => (dx.data[to] += dy.data[from]));
		return dx;
	}
}

/** y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each channel: x (N, C, H, W) or (N, C). In training, mean
   and variance are those of the batch; in prediction, their running means. */
class BatchNormalization extends Layer {
	static settings = { channels: REQUIRED, momentum: 0.9, epsilon: 1e-5 };

	check() {
		this.check_ints("channels");
		check(this.momentum >= 0 && this.momentum < 1, `momentum is out of its range: ${this.momentum}`);
		check(this.epsilon > 0, `epsilon is out of its range: ${this.epsilon}`);
	}

	parameter_shapes() { return { gamma: [this.channels], beta: [this.channels] }; }
	statistic_shapes() { return { running_mean: [this.channels], running_variance: [this.channels] }; }
	initialize({ dtype = "float32" }) {
		for (const name of ["beta", "running_mean"]) this[name] = zeros([this.channels], dtype);
		for (const name of ["gamma", "running_variance"]) this[name] = zeros([this.channels], dtype).map(() => 1);
	}

	output_shape(shape) {
		const fits = [1, 3].includes(shape.length) && shape[0] === this.channels;
		check(fits, `${this} expected (${this.channels}, H, W) or (${this.channels},), got ${show(shape)}`);
		return shape;
	}

	_forward(x) {
		const m = x.data.length / this.channels; // how many numbers a channel has
		let { data: mean } = this.running_mean, { data: variance } = this.running_variance;
		if (this.training) {
			mean = channel_sums(x).data.map((sum) => sum / m);
			variance = channel_sums(x, (value, c) => (value - mean[c]) ** 2).data.map((sum) => sum / m);
			const follow = (running, f) => running.map((old, c) => old + (1 - this.momentum) * (f(c) - old));
			this.running_mean = follow(this.running_mean, (c) => mean[c]);
			this.running_variance = follow(this.running_variance, (c) => (variance[c] * m) / max(m - 1, 1));
		}
		const { gamma: { data: gamma }, beta: { data: beta } } = this;
		const scale = variance.map((value) => 1 / sqrt(value + this.epsilon));
		const x_hat = channel_map(x, (value, c) => (value - mean[c]) * scale[c]);
		Object.assign(this, { scale, x_hat, m });
		return channel_map(x_hat, (value, c) => gamma[c] * value + beta[c]);
	}

	_backward(dy) {
		const { scale, m, training, gamma: { data: gamma }, x_hat: { data: x_hat } } = this;
		this.dgamma = channel_sums(dy, (value, c, k) => value * x_hat[k]);
		this.dbeta = channel_sums(dy);
		const [{ data: dgamma }, { data: dbeta }] = [this.dgamma, this.dbeta];
		return channel_map(dy, (value, c, k) => {
			if (training) value -= (dbeta[c] + x_hat[k] * dgamma[c]) / m; // the paths through the mean and the variance
			return gamma[c] * scale[c] * value;
		});
	}
}

/** In training, each number is dropped with the probability `rate`, and the others are scaled by 1 / (1 - rate). */
class Dropout extends Layer {
	static settings = { rate: 0.5 };

	check() { check(this.rate >= 0 && this.rate < 1, `rate is out of its range: ${this.rate}`); }
	initialize({ rng = new Generator() }) { this.rng = rng; }
	_forward(x) {
		const draw = () => (this.rng.random() >= this.rate ? 1 / (1 - this.rate) : 0);
		this.mask = this.training ? x.map(draw).data : null;
		return this.drop(x);
	}

	_backward(dy) { return this.drop(dy); }
	drop(x) { return this.mask ? x.map((value, k) => value * this.mask[k]) : x; }
}

/** (N, C, H, W) to (N, C H W). */
class Flatten extends Layer {
	output_shape(shape) { return [product(shape)]; }
	_forward(x) { return x.reshape(x.length, product(x.shape.slice(1))); }
	_backward(dy, x) { return dy.reshape(...x.shape); }
}

/** y = max(x, 0), elementwise; the slope at zero is 0. */
class ReLU extends Layer {
	_forward(x) {
		const y = zeros(x.shape, x.dtype);
		for (let k = 0, from = x.data, to = y.data; k < to.length; k++) to[k] = max(from[k], 0);
		return y;
	}

	_backward({ data: from, dtype }, x) {
		const dx = zeros(x.shape, dtype);
		for (let k = 0, values = x.data, to = dx.data; k < to.length; k++) to[k] = values[k] > 0 ? from[k] : 0;
		return dx;
	}
}

/** y = 1 / (1 + exp(-x)), elementwise; its slope is y (1 - y). */
class Sigmoid extends Layer {
	_forward(x) {
		return x.map((value) => {
			const e = exp(-abs(value)); // at most 1: exp of a large number would overflow
			return (value >= 0 ? 1 : e) / (1 + e);
		});
	}

	_backward(dy, x, { data: y }) { return dy.map((value, k) => value * y[k] * (1 - y[k])); }
}

/** Probabilities from scores, y_i = exp(x_i) / sum_j exp(x_j), for each example (M,), or each pixel of (M, H, W). */
class Softmax extends Layer {
	output_shape(shape) {
		const fits = [1, 3].includes(shape.length);
		check(fits, `${this} expected scores (M,) or (M, H, W) an example, got ${show(shape)}`);
		return shape;
	}

	_forward(x) {
		const y = zeros(x.shape, x.dtype);
		each_position(x, (first, step, end) => {
			const [largest, sum] = sum_exp(x.data, first, step, end); // the shift by the largest cancels
			for (let k = first; k < end; k += step) y.data[k] = exp(x.data[k] - largest) / sum;
		});
		return y;
	}

	_backward(dy, x, y) {
		const dx = zeros(x.shape, x.dtype);
		each_position(x, (first, step, end) => {
			let mean = 0;
			for (let k = first; k < end; k += step) mean += dy.data[k] * y.data[k];
			for (let k = first; k < end; k += step) dx.data[k] = y.data[k] * (dy.data[k] - mean);
		});
		return dx;
	}
}

/** Layers one after the other. */
class Sequential extends Layer {
	static settings = { layers: REQUIRED };

	check() {
		const { layers } = this;
		const fits = Array.isArray(layers) && layers.length && layers.every((layer) => layer instanceof Layer);
		if (!fits) throw new TypeError(`expected a list of at least one layer, got ${layers}`);
		const twice = leaves(this).find((layer, k, all) => all.indexOf(layer) !== k);
		check(!twice, `${twice} stands there twice: every place needs its own object`);
	}

	// The gradient of the input is the business of the first layer.
	get needs_dx() { return this.layers[0].needs_dx; }
	set needs_dx(value) { this.layers[0].needs_dx = value; }

	get dtype() { return leaves(this).find((layer) => layer.dtype)?.dtype; }
	output_shape(shape) {
		return this.layers.reduce((shape, layer) => layer.output_shape(shape), shape);
	}

	_forward(x) { return this.layers.reduce((y, layer) => layer.forward(y), x); }
	_backward(dy) { return this.layers.reduceRight((dx, layer) => layer.backward(dx), dy); }

	// "W0" is the W of layer 0, "W2.0" the W of layer 0 in layer 2.
	collect(prefix) {
		const rename = (name, i) => name.replace(/\D+/, `$&${i}.`).replace(/\.$/, "");
		const named = (layer, i) => Object.entries(layer.collect(prefix)).map(([name, x]) => [rename(name, i), x]);
		return Object.fromEntries(this.layers.flatMap(named));
	}
}

// All layers that hold no layers, at any depth
const leaves = (layer) => (layer.layers ? layer.layers.flatMap(leaves) : [layer]);

// null if nobody needs them
const sum = (x, f) => f && x.map((value, k) => value + f.data[k]);

/** y = x + f(x), where f are the layers; dx = dy + f.backward(dy). */
class Residual extends Sequential {
	output_shape(shape) {
		check_shape(`${this}, f(x)`, shape, super.output_shape(shape));
		return shape;
	}

	_forward(x) { return sum(x, super._forward(x)); }
	_backward(dy) { return sum(dy, super._backward(dy)); }
}

/** y = [x, f(x)] along the channels, where f are the layers; dx = dy[:, :C] + f.backward(dy[:, C:]). */
class Skip extends Sequential {
	output_shape([C, ...sizes]) {
		const [more, ...rest] = super.output_shape([C, ...sizes]);
		check_shape(`${this}, f(x)`, [more, ...sizes], [more, ...rest]);
		return [C + more, ...sizes];
	}

	_forward(x) {
		this.f = super._forward(x);
		const y = zeros([x.length, x.shape[1] + this.f.shape[1], ...x.shape.slice(2)], x.dtype);
		each_row(y, (values, n) => {
			values.set(row(x, n));
			values.set(row(this.f, n), row(x, n).length);
		});
		return y;
	}

	_backward(dy, x) {
		const [dx, df] = [x.copy(), this.f.copy()];
		each_row(dy, (values, n) => {
			row(dx, n).set(values.subarray(0, row(x, n).length));
			row(df, n).set(values.subarray(row(x, n).length));
		});
		return sum(dx, super._backward(df));
	}
}

/** A sequence that predicts and learns. `input_shape` is that of one example: [C, H, W] or [D]. With C = 1, images may
   also be (N, H, W). */
class Network extends Sequential {
	static settings = { layers: REQUIRED, input_shape: REQUIRED };

	check() {
		super.check();
		this.shapes; // a layer that does not fit shows now
	}

	/** The shape of one example after each layer. */
	get shapes() {
		let shape = this.input_shape;
		return this.layers.map((layer, index) => {
			try {
				return (shape = layer.output_shape(shape));
			} catch (error) {
				throw new ValueError(`layer ${index} does not fit: ${error.message}`);
			}
		});
	}

	/** `network[start:end]`: a network of the same layer objects. */
	slice(start, end) {
		const layers = this.layers.slice(start, end);
		return new Network(layers, [this.input_shape, ...this.shapes][this.layers.indexOf(layers[0])]);
	}

	to_input(x) {
		x = as_array(x, this.dtype);
		const [N, ...sizes] = x.shape;
		if (this.input_shape[0] === 1 && sizes.length === this.input_shape.length - 1) x = x.reshape(N, 1, ...sizes);
		check_shape("a batch", [N, ...this.input_shape], x.shape);
		return x;
	}

	forward(x) { return super.forward(this.to_input(x)); }

	/** `forward`, for any number of examples. */
	predict(x, batch_size = 128) {
		check_int("batch_size", batch_size);
		x = this.to_input(x);
		const y = zeros([x.length, ...this.shapes.at(-1)], x.dtype);
		for (let n = 0; n < x.length; n += batch_size)
			y.slice(n, n + batch_size).data.set(this.forward(x.slice(n, n + batch_size)).data);
		return y;
	}

	/** Set all gradients, for targets of the shape of y, or class numbers (N,), or (N, H, W); return [loss, scores]. */
	backpropagate(x, t, loss = new CategoricalCrossEntropy()) {
		const shape = this.shapes.at(-1);
		t = as_array(t, this.dtype);
		if (t.shape.length === shape.length && shape[0] > 1) t = one_hot(t, shape[0], this.dtype);
		let [network, exact] = [this, loss];
		if (loss.constructor === CategoricalCrossEntropy && this.layers.at(-1) instanceof Softmax && this.layers.length > 1)
			[network, exact] = [this.slice(0, -1), new SoftmaxCrossEntropy()]; // exact only together
		const needed = this.needs_dx;
		const y = network.forward(x);
		this.needs_dx = false; // it would be the gradient of the data
		network.backward(exact.gradient(y, t));
		this.needs_dx = needed;
		return [exact.value(y, t), y];
	}

	/** `backpropagate`, and a step. */
	train_step(x, t, optimizer, loss, scale = 1) {
		const result = this.backpropagate(x, t, loss);
		const gradients = this.gradients();
		optimizer.step(Object.entries(this.parameters()).map(([name, p]) => [p, gradients[name]]), scale);
		return result;
	}

	/** What `fromJSON` reads. */
	describe() {
		const entry = (layer) =>
			layer.layers
				? { class: layer.constructor.name, config: { layers: layer.layers.map(entry) } }
				: { class: layer.constructor.name, config: layer.config, parameters: layer.saved_arrays() };
		return { input_shape: this.input_shape, dtype: this.dtype, layers: this.layers.map(entry) };
	}

	/** A network from {input_shape, dtype, stored, layers: [{class, config, parameters}, ...]}: see book/_ext/engine.py.
	   Parameters are arrays, or base64 of numbers of the dtype `stored`, or {int8, scales}, where all that has the same
	   first index has one scale; without them, a layer draws new ones. */
	static fromJSON({ input_shape, dtype = "float32", stored = "float32", layers }) {
		const build = ({ class: name, config, parameters = {} }) => {
			const made = choose(LAYERS, "the class of a layer", name);
			if (config.layers) return new made(config.layers.map(build));
			const layer = new made({ rng: parameters.W && null, ...config, dtype }); // null: W is not drawn
			for (const [each, value] of Object.entries(parameters)) {
				const { shape } = choose(layer.saved_arrays(), `a parameter of ${layer}`, each);
				const read = () => {
					if (typeof value === "string") return decode(value, stored);
					if (!value.int8) return value;
					const [numbers, scales] = [decode(value.int8, "int8"), decode(value.scales)];
					return Float32Array.from(numbers, (number, k) => number * scales[floor((k * shape[0]) / numbers.length)]);
				};
				layer[each] = array(read(), dtype).reshape(...shape);
			}
			return layer;
		};
		return new Network(layers.map(build), input_shape);
	}
}

// Losses: means over the batch, or over all pixels of images (N, M, H, W); the 1/N stands nowhere else

const count = (y) => y.data.length / y.shape[1];

class Loss extends Configured {
	value(y, t) { return this._value(...this.pair(y, t)); }

	gradient(y, t) { return this._gradient(...this.pair(y, t)); }
	pair(y, t) {
		y = as_array(y);
		t = as_array(t, y.dtype);
		check(y.shape.length > 1 && y.length, `a loss expected predictions (N, M) of a batch, got an ${y}`);
		check_shape("targets", y.shape, t.shape);
		return [y, t];
	}
}

/** L = 1/(N M) sum over n, m of (y - t)^2. */
class MeanSquaredError extends Loss {
	_value(y, t) { return sum_over(y.data, (value, k) => (value - t.data[k]) ** 2) / y.data.length; }
	_gradient(y, t) { return y.map((value, k) => (2 * (value - t.data[k])) / y.data.length); }
}

/** L = -1/N sum over n, m of t log(p), for probabilities p; 0 is taken as the smallest normal number. */
class CategoricalCrossEntropy extends Loss {
	pair(p, t) {
		[p, t] = super.pair(p, t);
		each_position(t, (first, step, end) => {
			let sum = 0;
			for (let k = first; k < end; k += step) sum += t.data[k];
			check(abs(sum - 1) <= 1e-3, "every row of the targets must sum to 1");
		});
		return [p, t];
	}

	_value(p, t) {
		return -sum_over(p.data, (value, k) => t.data[k] * log(max(value, TINY[p.dtype]))) / count(p);
	}

	_gradient(p, t) { return p.map((value, k) => -t.data[k] / max(value, TINY[p.dtype]) / count(p)); }
}

/** Softmax and cross-entropy in one, for scores z: L = 1/N sum of t (log(sum exp(z)) - z), dL/dz = (p - t) / N. With
   `weights`, a number for each class, t is multiplied with them. */
class SoftmaxCrossEntropy extends CategoricalCrossEntropy {
	static settings = { weights: null };

	pair(z, t) {
		[z, t] = super.pair(z, t);
		if (!this.weights) return [z, t];
		check_shape("weights", [z.shape[1]], [this.weights.length]);
		return [z, channel_map(t, (value, m) => value * this.weights[m])];
	}

	_value(z, t) {
		let total = 0;
		each_position(z, (first, step, end) => {
			const [largest, sum] = sum_exp(z.data, first, step, end);
			for (let k = first; k < end; k += step) total += t.data[k] * (largest + log(sum) - z.data[k]);
		});
		return total / count(z);
	}

	_gradient(z, t) {
		const dz = new Softmax().forward(z);
		each_position(z, (first, step, end) => {
			let weight = 0; // the sum of t: 1, or the weight of the class
			for (let k = first; k < end; k += step) weight += t.data[k];
			for (let k = first; k < end; k += step) dz.data[k] = (dz.data[k] * weight - t.data[k]) / count(z);
		});
		return dz;
	}
}

/** Sigmoid and binary cross-entropy in one, for scores z: L = 1/(N M) sum over n, m of log(1 + exp(z)) - t z. */
class SigmoidCrossEntropy extends Loss {
	_value(z, t) {
		const term = (value, k) => max(value, 0) + Math.log1p(exp(-abs(value))) - t.data[k] * value;
		return sum_over(z.data, term) / z.data.length;
	}

	_gradient(z, t) { return new Sigmoid().forward(z).map((p, k) => (p - t.data[k]) / z.data.length); }
}

/** Rows (N, classes), 1 at the class, else 0; of maps of class numbers (N, H, W), images (N, classes, H, W). */
function one_hot(labels, classes, dtype) {
	labels = as_array(labels);
	const fits = (label) => Number.isInteger(label) && 0 <= label && label < classes;
	check(labels.data.every(fits), `labels must be whole numbers from 0 to ${classes - 1}, got ${labels.data}`);
	const [N, ...sizes] = labels.shape;
	const t = zeros([N, classes, ...sizes], dtype);
	let place = 0;
	each_position(t, (first, step) => (t.data[first + labels.data[place++] * step] = 1));
	return t;
}

const argmax = (values) => values.reduce((best, value, m) => (value > values[best] ? m : best), 0);

/** The share of examples, or of pixels, whose highest score is at the target; or, of one output, on its side of 1/2. */
function accuracy(y, t) {
	[y, t] = [as_array(y), as_array(t)];
	check_shape("targets", y.shape, t.shape);
	const answer = (values) => (values.length > 1 ? argmax(values) : values[0] > 0.5);
	let right = 0;
	each_position(y, (first, step) => {
		const at = [...steps(y.shape[1], step, [first])];
		right += answer(at.map((k) => y.data[k])) === answer(at.map((k) => t.data[k]));
	});
	return right / count(y);
}

// Optimizers, which change parameters in place

class Optimizer extends Configured {
	steps = 0;

	check() {
		for (const [name, value] of Object.entries(this.config)) {
			const fits = name === "learning_rate" ? value > 0 : value >= 0 && (value < 1 || name === "weight_decay");
			check(fits, `${name} is out of its range: ${value}`);
		}
	}

	/** Move the parameter of every [parameter, gradient], by `learning_rate * scale`. */
	step(pairs, scale = 1) {
		const { remembered } = this.constructor;
		if (!this.steps) this.state = pairs.map(([p]) => remembered.map(() => zeros(p.shape, p.dtype).data));
		this.steps += 1;
		pairs.forEach(([parameter, gradient], index) => {
			const { shape, data } = parameter;
			check_shape("a gradient", shape, gradient.shape);
			check(this.state[index]?.[0].length === data.length, "other parameters need an optimizer of their own");
			const decay = shape.length > 1 ? this.weight_decay : 0; // of weights, not of biases
			this.update(data, gradient.data, this.learning_rate * scale, decay, ...this.state[index]);
		});
	}
}

/** v = momentum v - learning_rate g, then parameter += v; with weight decay α, g is g + α parameter. */
class SGD extends Optimizer {
	static settings = { learning_rate: 0.05, momentum: 0.9, weight_decay: 0 };
	static remembered = ["velocity"];

	update(parameter, gradient, learning_rate, decay, velocity) {
		for (let k = 0; k < parameter.length; k++) {
			velocity[k] = this.momentum * velocity[k] - learning_rate * (gradient[k] + decay * parameter[k]);
			parameter[k] += velocity[k];
		}
	}
}

/** With running means of g and g²: parameter -= learning_rate m̂ / (sqrt(v̂) + ε). Weight decay as in AdamW. */
class Adam extends Optimizer {
	static settings = { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0 };
	static remembered = ["mean", "square"];

	update(parameter, gradient, learning_rate, decay, mean, square) {
		const { beta1, beta2, epsilon, steps } = this;
		for (let k = 0; k < parameter.length; k++) {
			mean[k] += (1 - beta1) * (gradient[k] - mean[k]);
			square[k] += (1 - beta2) * (gradient[k] ** 2 - square[k]);
			const unbiased_mean = mean[k] / (1 - beta1 ** steps);
			const unbiased_square = square[k] / (1 - beta2 ** steps);
			parameter[k] *= 1 - learning_rate * decay;
			parameter[k] -= (learning_rate * unbiased_mean) / (sqrt(unbiased_square) + epsilon);
		}
	}
}

/** Central differences (L(x + step) - L(x - step)) / (2 step) for each number of x, or for those at some places in its
   data. For gradients in float64. */
function numerical_gradient(L, x, places = x.data.keys(), step = 1e-5) {
	return Float64Array.from(places, (k) => {
		const before = x.data[k];
		const [plus, minus] = [before + step, before - step].map((value) => ((x.data[k] = value), L()));
		x.data[k] = before;
		return (plus - minus) / (2 * step);
	});
}

/** Little-endian numbers from base64: float32, float16, uint8 or int8. */
function decode(text, dtype = "float32") {
	const letters = atob(text);
	const bytes = new Uint8Array(letters.length).map((_, k) => letters.charCodeAt(k));
	if (dtype === "uint8") return bytes;
	if (dtype === "int8") return new Int8Array(bytes.buffer);
	if (dtype === "float32") return new Float32Array(bytes.buffer);
	// Of finite numbers; the exponent of float32 counts from 112 lower
	const halves = new Uint32Array(new Uint16Array(bytes.buffer));
	const words = halves.map((bits) => ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13));
	return new Float32Array(words.buffer).map((value) => value * 2 ** 112);
}

/** A thread of its own, for work that would block the page:

     const work = cnnlib.worker((message, report, state) => { ...; return result; });
     const result = await work.run(message, (progress) => ...);
     work.stop();

   The function is sent as text: it may use `cnnlib` and its arguments, nothing else. `state` lasts from run to run.
   A network is sent as `network.describe()`. */
function worker(task) {
	const source = `"use strict";
		const cnnlib = (${engine})(), task = (${task}), state = {};
		onmessage = async ({ data: { id, message } }) => {
			try { postMessage({ id, result: await task(message, (report) => postMessage({ id, report }), state) }); }
			catch (error) { postMessage({ id, error: String(error) }); }
		};`;
	const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
	const thread = new Worker(url);
	const runs = [];
	const fail = ({ message }) => runs.forEach(({ reject }) => reject(new RuntimeError(message)));
	thread.onerror = fail;
	thread.onmessage = ({ data: { id, report, error, result } }) => {
		const { resolve, reject, listen } = runs[id];
		if (report !== undefined) listen?.(report);
		else if (error === undefined) resolve(result);
		else reject(new RuntimeError(error));
	};
	return {
		run: (message, listen) =>
			new Promise((resolve, reject) => {
				thread.postMessage({ id: runs.push({ resolve, reject, listen }) - 1, message });
			}),
		stop() {
			thread.terminate();
			URL.revokeObjectURL(url);
			fail({ message: "the work was stopped" });
		},
	};
}

// The one list of layers: those that can be described and built again
const LAYERS = {
	...{ AveragePooling, BatchNormalization, Convolutional, Dense, Dropout, Flatten, MaxPooling, ReLU, Residual },
	...{ Sequential, Sigmoid, Skip, Softmax, TransposedConvolution, Upsampling },
};

const classes = {
	...LAYERS,
	...{ NDArray, Layer, Network, ValueError, RuntimeError },
	...{ MeanSquaredError, CategoricalCrossEntropy, SoftmaxCrossEntropy, SigmoidCrossEntropy, SGD, Adam },
};
// Python has no `new`; with this, the console needs none
for (const [name, made] of Object.entries(classes))
	classes[name] = new Proxy(made, { apply: (target, _, given) => new target(...given) });

return {
	...classes,
	...{ array, zeros, im2col, col2im, one_hot, argmax, accuracy, set_training },
	...{ default_rng: (seed) => new Generator(seed), numerical_gradient, decode, worker },
};
})();
