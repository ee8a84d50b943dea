/* What the Python package `cnnlib.digits` does, in the page, under the same names: pen strokes and small digits in
   MNIST's frame, random distortions, and the fine-tuning of a trained network.

     cnnlib.digits.rasterize(strokes);                 // lists of points [x, y]; 784 numbers from 0 to 1
     const tuner = new cnnlib.digits.FineTuner(network, images);
     cnnlib.digits.finish(tuner.prepare());
     cnnlib.digits.finish(tuner.fine_tune(drawings, labels));

   tests/site/test_digits.py compares every number with the library. An image is flat, row by row. As the engine, all is
   one function that refers to nothing outside of it, so that its text can be handed over to a worker.

   What takes long is a generator, which has its turn in parts of less than 50 ms: see `background`. */

cnnlib.digits = (function digits(cnnlib) {
"use strict";

const { abs, ceil, cos, exp, floor, log1p, max, min, sin, sqrt, PI } = Math;
const [FIELD, BOX, MIDDLE, SMALL, PEN_DIAMETER] = [28, 20, 14, 8, 2.5];
const SIZE = FIELD * FIELD;
const clip = (value, low, high) => min(max(value, low), high);

// From strokes to the image: cnnlib/digits/strokes.py, line by line, in the same double precision

/** The two steps from strokes to the image that a network sees, and the limits of the points. */
function preparation(strokes, pen = PEN_DIAMETER) {
	const points = strokes.flat();
	if (!points.length) return { image: new Float32Array(SIZE) };
	const low = [0, 1].map((axis) => points.reduce((least, point) => min(least, point[axis]), Infinity));
	const high = [0, 1].map((axis) => points.reduce((most, point) => max(most, point[axis]), -Infinity));
	const extent = max(high[0] - low[0], high[1] - low[1]) || 1;
	const scale = (value) => (BOX - pen) * (value / extent);
	const scaled = strokes.map((stroke) => stroke.map((point) => point.map((value, axis) => scale(value - low[axis]))));
	const corner = [0, 1].map((axis) => (FIELD - 1) / 2 - scale(high[axis] - low[axis]) / 2);
	const boxed = draw_segments(scaled, pen, corner);
	const centre = centre_of_mass(boxed);
	const placed = corner.map((value, axis) => {
		const margin = value - (pen / 2 - 0.5);
		return value + clip(MIDDLE - centre[axis], -margin, margin);
	});
	return { low, high, boxed, centre, image: Float32Array.from(draw_segments(scaled, pen, placed)) };
}

const rasterize = (strokes, pen) => preparation(strokes, pen).image;

/** How much of each pixel a round pen covers, for strokes in pixels of the image, moved by `corner`. */
function draw_segments(strokes, pen, corner = [0, 0]) {
	const reach = pen / 2 + 0.5; // further away, a pixel has no ink
	const nearest = new Float64Array(SIZE).fill(Infinity);
	for (const stroke of strokes) {
		for (let k = 0; k < max(stroke.length - 1, min(stroke.length, 1)); k++) {
			const end = stroke[min(k + 1, stroke.length - 1)];
			const [ax, ay] = [stroke[k][0] + corner[0], stroke[k][1] + corner[1]];
			const [bx, by] = [end[0] + corner[0], end[1] + corner[1]];
			const [alongX, alongY] = [bx - ax, by - ay];
			const squared = alongX * alongX + alongY * alongY || 1;
			const [stepX, stepY] = [alongX / squared, alongY / squared];
			const [right, bottom] = [[ax, bx], [ay, by]].map((pair) => min(floor(max(...pair) + reach), FIELD - 1));
			for (let row = max(ceil(min(ay, by) - reach), 0); row <= bottom; row++) {
				for (let column = max(ceil(min(ax, bx) - reach), 0); column <= right; column++) {
					const [x, y] = [column - ax, row - ay];
					const t = clip(x * stepX + y * stepY, 0, 1);
					const [dx, dy] = [x - t * alongX, y - t * alongY];
					const at = row * FIELD + column;
					nearest[at] = min(nearest[at], dx * dx + dy * dy);
				}
			}
		}
	}
	return nearest.map((distance) => clip(pen / 2 - sqrt(distance) + 0.5, 0, 1));
}

/** [column, row] */
function centre_of_mass(image) {
	let [mass, x, y] = [0, 0, 0];
	image.forEach((value, at) => {
		mass += value;
		x += value * (at % FIELD);
		y += value * floor(at / FIELD);
	});
	return [x / mass, y / mass];
}

// Which digit, how surely, and whether it is one: cnnlib/digits/confidence.py

/** Ten probabilities as they would be at a higher temperature. */
function calibrate(p, temperature) {
	const most = max(...p);
	const warm = Array.from(p, (value) => (value / most) ** (1 / temperature));
	const sum = warm.reduce((a, b) => a + b);
	return warm.map((value) => value / sum);
}

/** How likely it is that images (N, 1, 28, 28) show digits, 0 for an empty one. */
function digit_likelihood(images, rejecter) {
	const p = rejecter.predict(images);
	return Array.from({ length: images.length }, (_, n) => (images.slice(n, n + 1).data.some(Boolean) ? p.data[2 * n + 1] : 0));
}

const looks_like_digit = (images, rejecter, threshold) => digit_likelihood(images, rejecter).map((p) => p >= threshold);

// Numbers of several digits: cnnlib/digits/reading.py, line by line

const [OVERLAP, APART] = [0.1, 0.3];

/** In which line of writing each box [top, left, bottom, right] stands, from 0 at the top. */
function lines_of(boxes) {
	const lines = new Array(boxes.length).fill(0);
	let [low, high, line] = [0, 0, -1];
	const middle = (n) => boxes[n][0] + boxes[n][2];
	for (const n of boxes.map((_, n) => n).sort((a, b) => middle(a) - middle(b))) {
		const [top, , bottom] = boxes[n];
		if (line >= 0 && min(bottom, high) - max(top, low) >= 0.4 * min(bottom - top, high - low)) {
			[low, high] = [min(top, low), max(bottom, high)];
		} else [low, high, line] = [top, bottom, line + 1];
		lines[n] = line;
	}
	return lines;
}

/** The box of strokes: [top, left, bottom, right]. */
function box_of(strokes) {
	const [x, y] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
	const [least, most] = [(values) => values.reduce((a, b) => min(a, b)), (values) => values.reduce((a, b) => max(a, b))];
	return [least(y), least(x), most(y), most(x)];
}

/** Which strokes, by number, make up each part of a drawing, line by line, from left to right. */
function split_strokes(strokes) {
	const parts = strokes.map((_, n) => [n]);
	const boxes = strokes.map((stroke) => box_of([stroke]));
	const tall = boxes.reduce((most, [top, , bottom]) => max(most, bottom - top), 0);
	for (let first = 0; first < parts.length; first++) {
		for (let second = first + 1; second < parts.length; second++) {
			const [a, b] = [boxes[first], boxes[second]];
			const narrow = min(a[3] - a[1], b[3] - b[1]);
			const beside = min(a[3], b[3]) - max(a[1], b[1]) < OVERLAP * narrow;
			if (beside || max(a[0], b[0]) - min(a[2], b[2]) > APART * tall) continue;
			boxes[first] = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])];
			parts[first].push(...parts[second]);
			for (const list of [parts, boxes]) list.splice(second, 1);
			first = -1; // the larger part may reach others
			break;
		}
	}
	const lines = lines_of(boxes);
	const order = parts.map((_, n) => n).sort((a, b) => lines[a] - lines[b] || boxes[a][1] - boxes[b][1]);
	return order.map((n) => parts[n].sort((a, b) => a - b));
}

/** Which strokes, by number, make up each digit of a drawing; all of them, unless it is a number.
    `looks` says of flat images whether they look like digits. */
function digits_of(strokes, pen, looks, unfinished = false) {
	const parts = split_strokes(strokes);
	if (parts.length > 1) {
		const accepted = looks(parts.map((part) => rasterize(part.map((n) => strokes[n]), pen)))
			.map((yes, k) => yes || (unfinished && parts[k].includes(strokes.length - 1)));
		const count = accepted.filter(Boolean).length;
		if (count === parts.length || (parts.length >= 3 && 3 * count >= 2 * parts.length)) return parts;
	}
	return strokes.length ? [strokes.map((_, n) => n)] : [];
}

// The digits that come with the package, 8 x 8 pixels from 0 to 16

/** In MNIST's frame, 0 to 255: `upscale` of cnnlib/digits/mnist_frame.py, in whole numbers. */
function upscale(pixels) {
	const weights = Array.from({ length: BOX }, () => new Array(SMALL).fill(0));
	for (let i = 0; i < BOX; i++) {
		const j = floor((4 * i - 3) / 10), k = 4 * i - 3 - 10 * j;
		[-100 * k + 20 * k ** 2 - k ** 3, 2000 - 50 * k ** 2 + 3 * k ** 3, 100 * k + 40 * k ** 2 - 3 * k ** 3, -10 * k ** 2 + k ** 3]
			.forEach((weight, m) => { weights[i][clip(j - 1 + m, 0, SMALL - 1)] += weight; });
	}
	const white = 16 * 2000 ** 2;
	const count = pixels.length / SMALL ** 2;
	const images = new Uint8Array(count * SIZE);
	const [half, box] = [new Float64Array(BOX * SMALL), new Float64Array(BOX * BOX)];
	for (let n = 0; n < count; n++) {
		for (let r = 0; r < BOX; r++) for (let s = 0; s < SMALL; s++) {
			let sum = 0;
			for (let k = 0; k < SMALL; k++) sum += weights[r][k] * pixels[(n * SMALL + k) * SMALL + s];
			half[r * SMALL + s] = sum;
		}
		let mass = 0, down = 0, right = 0;
		for (let r = 0; r < BOX; r++) for (let s = 0; s < BOX; s++) {
			let sum = 0;
			for (let k = 0; k < SMALL; k++) sum += half[r * SMALL + k] * weights[s][k];
			const grey = clip(floor((255 * (6 * sum - white) + 2 * white) / (4 * white)), 0, 255);
			box[r * BOX + s] = grey;
			mass += grey;
			down += grey * r;
			right += grey * s;
		}
		if (!mass) continue;
		const [top, left] = [down, right].map((sum) => clip(floor(MIDDLE - sum / mass + 0.5), 0, FIELD - BOX));
		for (let r = 0; r < BOX; r++) for (let s = 0; s < BOX; s++)
			images[(n * FIELD + top + r) * FIELD + left + s] = box[r * BOX + s];
	}
	return images;
}

/** The numbers of a text that has a letter for each, from 0 to g, which is 16. */
const letters = (text) => Uint8Array.from(text, (letter) => parseInt(letter, 17));

/** Images (N, 1, 28, 28), 0 to 1, of digits that were written as `letters`. */
const images_of = (text) =>
	cnnlib.array(Float32Array.from(upscale(letters(text)), (value) => value / 255)).reshape(text.length / SMALL ** 2, 1, FIELD, FIELD);

// Work in parts

const PART = 16; // images at once: forward and backward take less than 50 ms

/** `network.backpropagate` of a batch, part by part: a generator that returns the loss and the gradients. */
function* backpropagate(network, x, t) {
	const sums = {};
	let loss = 0;
	for (let n = 0; n < x.length; n += PART) {
		const part = x.slice(n, n + PART);
		const share = part.length / x.length;
		loss += share * network.backpropagate(part, t.slice(n, n + PART))[0];
		for (const [name, gradient] of Object.entries(network.gradients())) {
			sums[name] ??= cnnlib.zeros(gradient.shape, gradient.dtype);
			for (let k = 0, sum = sums[name].data, { data } = gradient; k < sum.length; k++) sum[k] += share * data[k];
		}
		yield;
	}
	return [loss, sums];
}

/** `network.predict`, part by part. */
function* predict(network, x) {
	const y = cnnlib.zeros([x.length, ...network.shapes.at(-1)], x.dtype);
	for (let n = 0; n < x.length; n += PART) {
		y.slice(n, n + PART).data.set(network.forward(x.slice(n, n + PART)).data);
		yield;
	}
	return y;
}

/** All parts of a generator at once; what it returns. */
function finish(work) {
	for (let part = work.next(); ; part = work.next()) if (part.done) return part.value;
}

/** Where a generator `task(cnnlib, state, message)` works: in a worker or, where there is none, in the page, which has
   its turn after each part. `run(message)` is a promise of what it returns; `state` lasts from run to run. The task is
   sent as text: it may use its arguments, nothing else. */
function background(task) {
	try {
		return cnnlib.worker(`(message, report, state) => {
			cnnlib.digits ??= (${digits})(cnnlib);
			return cnnlib.digits.finish((${task})(cnnlib, state, message));
		}`);
	} catch {
		const state = {};
		return {
			async run(message) {
				const work = task(cnnlib, state, message);
				for (let part = work.next(); ; part = work.next()) {
					if (part.done) return part.value;
					await new Promise((resume) => setTimeout(resume));
				}
			},
		};
	}
}

// Random distortions: cnnlib/digits/augmentation.py. The random numbers are drawn in its order.

const GRID = 5; // an elastic distortion is a smooth interpolation of displacements at GRID x GRID points

/** The weights (28, GRID) of uniform cubic B-splines whose centres span the image. */
const SPLINE = Array.from({ length: FIELD }, (_, pixel) => {
	const position = 0.5 + (pixel * (GRID - 2)) / (FIELD - 1);
	return Array.from({ length: GRID }, (_, k) => {
		const distance = abs(position - k);
		return distance < 1 ? 2 / 3 - distance ** 2 + distance ** 3 / 2 : max(2 - distance, 0) ** 3 / 6;
	});
});

/** A random affine map, a random elastic distortion and a random stroke width for every image of a batch. */
class Distortion {
	constructor(settings = {}) {
		Object.assign(this, { rotation: 8, shear: 0.15, scale: 0.15, shift: 1, elastic: 1.2, stroke_width: 0.6 }, settings);
	}

	/** Changed copies of images (N, 1, 28, 28), 0 to 1. */
	distort(images, rng) {
		const draws = this.draw(images.length, rng);
		const result = images.copy();
		for (let n = 0; n < images.length; n++)
			result.slice(n, n + 1).data.set(distorted(images.slice(n, n + 1).data, draws[n]));
		return result;
	}

	/** The random numbers for `distorted`, an object for each image. */
	draw(N, rng) {
		const uniform = (limit) => Array.from({ length: N }, () => limit * (2 * rng.random() - 1));
		const amount = this.stroke_width ? uniform(this.stroke_width) : new Array(N).fill(0);
		const [angle, shear] = [uniform((this.rotation * PI) / 180), uniform(this.shear)];
		const [tall, wide] = [uniform(log1p(this.scale)), uniform(log1p(this.scale))];
		const displacement = () => (this.elastic ? this.elastic * rng.normal() : 0);
		const grids = () => Array.from({ length: N }, () => Float64Array.from({ length: GRID * GRID }, displacement));
		const [rows, columns] = [grids(), grids()];
		const [down, right] = [uniform(this.shift), uniform(this.shift)];
		return amount.map((_, n) => ({
			...{ amount: amount[n], angle: angle[n], shear: shear[n], tall: exp(tall[n]), wide: exp(wide[n]) },
			...{ rows: rows[n], columns: columns[n], down: down[n], right: right[n] },
		}));
	}
}

/** Displacements at the grid's points, smoothly interpolated: SPLINE @ grid @ SPLINE.T. */
function interpolate(grid) {
	const smooth = new Float64Array(SIZE);
	for (let r = 0, at = 0; r < FIELD; r++) {
		const line = [0, 0, 0, 0, 0];
		for (let i = 0; i < GRID; i++) for (let j = 0; j < GRID; j++) line[j] += SPLINE[r][i] * grid[GRID * i + j];
		for (let s = 0; s < FIELD; s++, at++) for (let j = 0; j < GRID; j++) smooth[at] += line[j] * SPLINE[s][j];
	}
	return smooth;
}

/** One image, distorted: pixel (r, s) is the old image's value at (row, column), between its pixels. */
function distorted(image, { amount, angle, shear, tall, wide, rows, columns, down, right }) {
	const source = change_stroke_width(image, amount);
	const [bend_rows, bend_columns] = [interpolate(rows), interpolate(columns)];
	const result = new Float32Array(SIZE);
	const middle = (FIELD - 1) / 2;
	for (let at = 0; at < SIZE; at++) {
		const [r, s] = [floor(at / FIELD) - middle, (at % FIELD) - middle];
		const row = (cos(angle) * r - sin(angle) * s) * tall + bend_rows[at] + middle + down;
		const column = (sin(angle) * r + cos(angle) * s) * wide + shear * r + bend_columns[at] + middle + right;
		result[at] = bilinear(source, row, column);
	}
	return result;
}

/** Blended with the image of thicker strokes, or of thinner ones. */
function change_stroke_width(image, amount) {
	return image.map((value, at) => {
		const [r, s] = [floor(at / FIELD), at % FIELD];
		const near = [r ? image[at - FIELD] : 0, r < FIELD - 1 ? image[at + FIELD] : 0, s ? image[at - 1] : 0, s < FIELD - 1 ? image[at + 1] : 0];
		return amount > 0 ? value + amount * (max(value, ...near) - value) : value - amount * (min(value, ...near) - value);
	});
}

/** The value at (row, column), by bilinear interpolation; zero outside of the image. */
function bilinear(image, row, column) {
	const [top, left] = [floor(row), floor(column)];
	const [down, right] = [row - top, column - left];
	const pixel = (r, s) => (r >= 0 && r < FIELD && s >= 0 && s < FIELD ? image[r * FIELD + s] : 0);
	const upper = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right;
	const lower = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right;
	return upper * (1 - down) + lower * down;
}

// Fine-tuning: cnnlib/digits/fine_tuning.py, whose docstrings say why

const [STEPS, LEARNING_RATE, MOMENTUM, DRAWINGS_PER_STEP, REPLAYED_PER_STEP] = [60, 0.005, 0.9, 16, 112];
const [DISTORTED_COPIES, MIN_MIX] = [3, 0.8];

/** Trains a network on its user's drawings, always from the parameters that it had at first. */
class FineTuner {
	/** `replay`: images (N, 1, 28, 28). Before anything else, all parts of `prepare()`. */
	constructor(network, replay) {
		Object.assign(this, { network, replay, distortion: new Distortion() });
		this.initial_parameters = this.copy();
	}

	copy() { return Object.entries(this.network.parameters()).map(([, array]) => array.data.slice()); }

	/** Set all parameters to copies of these numbers. */
	restore(numbers) { Object.values(this.network.parameters()).forEach((array, k) => array.data.set(numbers[k])); }

	/** The digits to replay, as they are and distorted, and what the network predicts for them. */
	*prepare() {
		const [{ replay }, rng] = [this, cnnlib.default_rng(0)];
		const count = replay.length;
		this.replay_x = cnnlib.zeros([(1 + DISTORTED_COPIES) * count, 1, FIELD, FIELD]);
		this.replay_x.slice(0, count).data.set(replay.data);
		for (let copy = 1; copy <= DISTORTED_COPIES; copy++) {
			const draws = this.distortion.draw(count, rng);
			yield;
			for (let n = 0; n < count; n++) {
				this.replay_x.slice(copy * count + n, copy * count + n + 1).data.set(distorted(replay.slice(n, n + 1).data, draws[n]));
				if (n % PART === 0) yield;
			}
		}
		this.replay_t = yield* predict(this.network, this.replay_x);
	}

	/** Restore the initial parameters, and train on these drawings (N, 1, 28, 28). After each step it yields the loss.
	   `replayed`: how many digits a step replays; the library has no other than the default. */
	*fine_tune(images, labels, { steps = STEPS, seed = 0, replayed = REPLAYED_PER_STEP } = {}) {
		this.restore(this.initial_parameters);
		if (!images.length) return;
		const [{ network, replay_x, replay_t }, rng] = [this, cnnlib.default_rng(seed)];
		const optimizer = cnnlib.SGD(LEARNING_RATE, MOMENTUM);
		const [size, t] = [DRAWINGS_PER_STEP + replayed, cnnlib.one_hot(labels, 10, "float32")];
		for (let step = 0; step < steps; step++) {
			const order = rng.permutation(images.length); // fewer drawings than that are repeated
			const drawn = Array.from({ length: DRAWINGS_PER_STEP }, (_, k) => order[k % order.length]);
			const chosen = Array.from({ length: replayed }, () => floor(rng.random() * replay_x.length));
			const [x_step, t_step] = [cnnlib.zeros([size, 1, FIELD, FIELD]), cnnlib.zeros([size, 10])];
			x_step.data.set(this.distortion.distort(images.take(drawn), rng).data);
			x_step.slice(DRAWINGS_PER_STEP).data.set(replay_x.take(chosen).data);
			t_step.data.set(t.take(drawn).data);
			t_step.slice(DRAWINGS_PER_STEP).data.set(replay_t.take(chosen).data);
			const [loss, gradients] = yield* backpropagate(network, x_step, t_step);
			optimizer.step(Object.entries(network.parameters()).map(([name, parameter]) => [parameter, gradients[name]]));
			yield loss;
		}
		const mix = max(MIN_MIX, 1 - 1 / images.length); // many drawings say more than few
		Object.values(network.parameters()).forEach(({ data }, k) => {
			const initial = this.initial_parameters[k];
			for (let i = 0; i < data.length; i++) data[i] = initial[i] + mix * (data[i] - initial[i]);
		});
	}
}

return {
	...{ Distortion, distorted, FineTuner },
	...{ calibrate, digit_likelihood, looks_like_digit },
	...{ box_of, digits_of, lines_of, split_strokes },
	...{ preparation, rasterize, draw_segments, centre_of_mass, upscale, letters, images_of },
	...{ backpropagate, predict, finish, background },
};
})(cnnlib);
