"""Find the ink in a picture as people have them: frames, lines, shadows, specks, and digits that are small in it.

What is ink is decided in steps, each of which can be shown (see `steps`):

1. *Colour to contrast.* The colour that most pixels have is the ground; what differs most from it is ink. Every pixel
   gets a number from 0, the colour of the ground, to 1, that of the ink.
2. *The ground is taken away.* A closing over an area wider than any stroke shows what the picture would be without
   strokes: shadows and paper. Only the difference from it counts.
3. *Otsu's threshold* divides what is left into ink and ground.
4. *Lines* that cross the whole picture, of paper or tables, are taken out, and the strokes that they cross are joined.
5. *Connected parts*: frames around others and specks are left out, and so is what comes in from the edge: strokes that
   are smaller than what lies within, shadows, and corners that the paper does not cover.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnlib.checks import as_float_array, check_finite

COARSE = 320  # pixels of the longer side in which digits are looked for
LEAST_CONTRAST = 0.08  # of the range of brightness: less is paper
FRAME = 0.88  # a part that encloses this share of its box, and has others within it, is a frame
SPECK = 0.06  # of the area of the largest part


@dataclass
class Found:
    """Ink that belongs together, and where it is.

    Attributes
    ----------
    ink : ndarray of shape (h, w), float
        From 0 to 1, cut to its box.
    box : tuple of int
        Top, left, bottom, right, in pixels of the picture that was given; bottom and right lie outside.
    """

    ink: np.ndarray
    box: tuple[int, int, int, int]


@dataclass
class Steps:
    """Pictures of what was done, by name, to be shown."""

    pictures: dict[str, np.ndarray] = field(default_factory=dict)

    def keep(self, name: str, picture: np.ndarray) -> np.ndarray:
        self.pictures[name] = picture
        return picture


def contrast(colours: np.ndarray) -> np.ndarray:
    """Return how far each pixel is from the ground towards the colour of the ink: (H, W) from (H, W, 3)."""
    flat = colours.reshape(-1, colours.shape[-1])
    ground = np.median(flat, axis=0)
    distance = np.linalg.norm(flat - ground, axis=1)
    # Dark and light parts may both be far from the ground: the ink is what is further away.
    direction = flat[distance >= 0.85 * highest(distance)].mean(axis=0) - ground
    size = np.linalg.norm(direction)
    if size < 1e-6:
        return np.zeros(colours.shape[:2])
    return ((flat - ground) @ (direction / size)).reshape(colours.shape[:2])


def highest(values: np.ndarray) -> float:
    """Return a value that only some pixels reach: the highest one, but for a few that may be noise."""
    count = min(values.size, 8 + values.size // 2000)
    return float(np.partition(values, -count, axis=None)[-count])


def ground_of(value: np.ndarray) -> np.ndarray:
    """Return what a map (H, W) of contrast would be without strokes, which are bright in it: shadows and paper."""
    from scipy import ndimage

    height, width = value.shape
    window = max(5, round(0.3 * min(height, width))) | 1
    small = max(1, window // 24)  # a coarse copy is enough to see the ground
    coarse = value[::small, ::small]
    ground = ndimage.grey_opening(ndimage.uniform_filter(coarse, 3), size=max(3, window // small))
    ground = ndimage.uniform_filter(ground, max(3, window // small // 2))
    return np.kron(ground, np.ones((small, small)))[:height, :width]


def ink_mask(colours: np.ndarray, steps: Steps | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the ink of a picture (H, W, 3), from 0 to 1, and a mask of where it is."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    steps = Steps() if steps is None else steps
    value = steps.keep("contrast", contrast(colours))
    ink = steps.keep("without ground", np.maximum(value - ground_of(value), 0))
    noise = np.median(np.abs(ink - np.median(ink)))
    peak = highest(ink)
    if peak < LEAST_CONTRAST or not ink.any():
        return np.zeros_like(ink), np.zeros(ink.shape, bool)
    threshold = max(threshold_otsu(ink), 0.3 * peak, 4 * noise)
    mask = ndimage.gaussian_filter(ink, 0.5) > threshold
    level = np.quantile(ink[mask], 0.6) if mask.any() else peak
    return np.clip(ink / level, 0, 1), steps.keep("ink", mask)


def without_lines(mask: np.ndarray) -> np.ndarray:
    """Return a mask without the straight lines that cross the whole picture, or nearly so; strokes are joined again."""
    from scipy import ndimage
    from skimage.measure import label

    result, lines = mask, [np.zeros(size, bool) for size in mask.shape]
    for upright in (True, False):
        rows = mask.T if upright else mask
        # Of a line, nearly every pixel of some row is ink; a digit that is cut out tightly has no such row beside it.
        full = rows.mean(axis=1) > 0.6
        inner = np.flatnonzero(full)
        if not len(inner):
            continue
        runs = np.split(inner, np.flatnonzero(np.diff(inner) > 1) + 1)
        thin = [run for run in runs if len(run) <= max(2, 0.05 * len(rows))]
        at_ends = np.hstack([rows[:, :2], rows[:, -2:]])
        ends = [run for run in thin if at_ends[run].any(axis=0).sum() >= 3]
        if not ends or (len(ends) == 1 and rows.any(axis=1).mean() < 0.5 and not _beyond(rows, ends[0])):
            continue
        cleaned = rows.copy()
        for run in ends:
            low, high = max(run[0] - 1, 0), run[-1] + 2
            above = rows[max(low - 2, 0) : low].any(axis=0)
            below = rows[high : high + 2].any(axis=0)
            near = ndimage.binary_dilation(above, iterations=2) & ndimage.binary_dilation(below, iterations=2)
            cleaned[low:high] = rows[low:high] & near
            lines[upright][max(low - 2, 0) : high + 2] = True
        cleaned = cleaned.T if upright else cleaned
        result = result & cleaned
    # Where two lines cross, each takes the other for a stroke: what is left of them has nothing around it.
    numbers = label(result, connectivity=2)
    return result & np.isin(numbers, numbers[result & ~np.outer(*lines)])


def _beyond(rows: np.ndarray, run: np.ndarray) -> bool:
    """Say whether there is ink on both sides of a line."""
    return bool(rows[: max(run[0] - 2, 0)].any() and rows[run[-1] + 3 :].any())


def parts(mask: np.ndarray) -> list:
    """Return the connected parts of a mask, largest first."""
    from skimage.measure import label, regionprops

    return sorted(regionprops(label(mask, connectivity=2)), key=lambda part: -part.area)


def inside_of_frame(found: list, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Return what lies within a frame, or within a panel of another colour, if one of the parts is one."""
    for part in found[:3]:
        top, left, bottom, right = part.bbox
        height, width = bottom - top, right - left
        if min(height, width) < 0.4 * min(shape) or part.area_filled < FRAME * height * width:
            continue
        rows, columns = part.image.mean(axis=1), part.image.mean(axis=0)
        holes = part.area_filled - part.area
        if holes < 0.02 * part.area_filled or part.euler_number == 1:
            continue  # nothing within it
        # How thick its four sides are: the lines of a frame, or none of a panel
        sides = [_thickness(line) for line in (rows, rows[::-1], columns, columns[::-1])]
        if max(sides) > 0.2 * min(height, width) and part.area < 0.5 * part.area_filled:
            continue  # a thick ring, such as a bold 0
        sides = [side + 2 if part.area < 0.5 * part.area_filled else 1 for side in sides]
        inner = slice(top + sides[0], bottom - sides[1]), slice(left + sides[2], right - sides[3])
        if inner[0].stop - inner[0].start > 8 and inner[1].stop - inner[1].start > 8:
            return inner
    return None


def _thickness(line: np.ndarray) -> int:
    """Return how many of the first numbers are nearly 1."""
    below = np.flatnonzero(line < 0.9)
    return int(below[0]) if len(below) else len(line)


def find_ink(colours: np.ndarray, steps: Steps | None = None, depth: int = 0) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Return ink, mask and their place (top, left) in the picture, after frames have been left out."""
    from scipy import ndimage

    ink, mask = ink_mask(colours, steps)
    mask = without_lines(mask)
    found = parts(mask)
    inner = inside_of_frame(found, mask.shape) if depth < 3 else None
    if inner is not None:
        ink, mask, (top, left) = find_ink(colours[inner], steps, depth + 1)
        return ink, mask, (top + inner[0].start, left + inner[1].start)
    kept = np.zeros_like(mask)
    within = max((part.area for part in found if not _at_edge(part, mask.shape)), default=0)
    largest = within or max((part.area for part in found), default=0)
    for part in found:
        comes_in = _at_edge(part, mask.shape) and (
            part.area < 1.5 * within or _is_corner(part, mask.shape) or _is_soft(part, ink, mask)
        )
        if part.area >= SPECK * largest and not comes_in:
            kept[part.slice] |= part.image
    near = ndimage.binary_dilation(kept, iterations=2)  # the soft edges of strokes
    return np.where(near, ink, 0), kept, (0, 0)


def _is_corner(part, shape: tuple[int, int]) -> bool:
    """Say whether a part fills a corner, and is no digit that was cut out tightly: a piece of the desk."""
    top, left, bottom, right = part.bbox
    row = 0 if top == 0 else -1 if bottom == shape[0] else None
    column = 0 if left == 0 else -1 if right == shape[1] else None
    if row is None or column is None or not part.image[row, column]:
        return False
    return max((bottom - top) / shape[0], (right - left) / shape[1]) < 0.7


def _is_soft(part, ink: np.ndarray, mask: np.ndarray) -> bool:
    """Say whether ink grows pale at the rim of a part, and not at once: a shadow."""
    from scipy import ndimage

    whole = np.pad(part.image, 3)
    rows, columns = (slice(low, high + 6) for low, high in zip(part.bbox[:2], part.bbox[2:], strict=True))
    padded_ink, padded_mask = np.pad(ink, 3, mode="edge")[rows, columns], np.pad(mask, 3)[rows, columns]
    rim = whole & ~ndimage.binary_erosion(whole, border_value=1)
    around = ndimage.binary_dilation(whole, iterations=3) & ~ndimage.binary_dilation(whole, iterations=2) & ~padded_mask
    return bool(around.any()) and float(padded_ink[rim].mean() - padded_ink[around].mean()) < 0.3


def _at_edge(part, shape: tuple[int, int]) -> bool:
    top, left, bottom, right = part.bbox
    return top <= 1 or left <= 1 or bottom >= shape[0] - 1 or right >= shape[1] - 1


def groups(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return the boxes of what belongs together: parts one above the other, or close by, are of one digit."""
    boxes = np.array([part.bbox for part in parts(mask)], int).reshape(-1, 4)
    tall = (boxes[:, 2] - boxes[:, 0]).max(initial=0)
    alone = 0  # so many boxes at the front belong to none of the others
    while alone < len(boxes):
        others = np.flatnonzero(_belong_together(boxes[alone], boxes[alone + 1 :], tall))
        if not len(others):
            alone += 1
            continue
        pair = [alone, alone + 1 + others[0]]
        while pair:
            joined = np.append(boxes[pair, :2].min(axis=0), boxes[pair, 2:].max(axis=0))
            boxes = np.vstack([np.delete(boxes, pair, axis=0), joined])
            alone -= pair[0] < alone
            before = np.flatnonzero(_belong_together(joined, boxes[:alone], tall))  # nothing else is new to these
            pair = [before[0], len(boxes) - 1] if len(before) else []
    return [tuple(box) for box in boxes.tolist()]


def _belong_together(a: np.ndarray, boxes: np.ndarray, tall: int) -> np.ndarray:
    """Say of each of the boxes (k, 4) whether it is of one digit with box `a`; the tallest part of all is that tall."""
    b = boxes.T
    overlap = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    narrow = np.minimum(a[3] - a[1], b[3] - b[1])
    gap = np.maximum(a[0], b[0]) - np.minimum(a[2], b[2])
    small = np.minimum(a[2] - a[0], b[2] - b[0]) < 0.6 * tall
    return (overlap > 0.5 * narrow) & (gap < 0.25 * tall) | small & (overlap > -0.12 * tall) & (gap < 0.12 * tall)


def find_digits(colours: np.ndarray, steps: Steps | None = None) -> list[Found]:
    """Find the ink of digits in a picture (H, W, 3) of colours from 0 to 1: first in a coarse copy, then in fine ones.

    Returns
    -------
    list of Found
        In the order of `groups`; empty if nothing stands out.
    """
    colours = check_finite("colours", as_float_array("colours", colours))
    if colours.ndim != 3 or colours.shape[2] != 3:
        raise ValueError(f"colours must be of shape (H, W, 3), got {colours.shape}")
    height, width = colours.shape[:2]
    if not colours.size:
        return []
    factor = max(1, -(-max(height, width) // COARSE))
    coarse = shrink(colours, factor)
    _, mask, (top, left) = find_ink(coarse, steps)
    found = []
    for box in groups(mask):
        up, to_left, down, to_right = (
            factor * (side + shift) for side, shift in zip(box, (top, left) * 2, strict=True)
        )
        margin = round(0.5 * max(down - up, to_right - to_left)) + 2
        if factor > 1:
            rows = slice(max(up - margin, 0), min(down + margin, height))
            columns = slice(max(to_left - margin, 0), min(to_right + margin, width))
            fine = colours[rows, columns]
            again = max(1, -(-max(fine.shape[:2]) // COARSE))
            fine = shrink(fine, again)
            ink, fine_mask, place = find_ink(fine)
            boxes = groups(fine_mask)
            if not boxes:
                continue
            # The group that lies in the middle
            middle = np.array(fine.shape[:2]) / 2
            centre = [
                abs((b[0] + b[2]) / 2 + place[0] - middle[0]) + abs((b[1] + b[3]) / 2 + place[1] - middle[1])
                for b in boxes
            ]
            part = boxes[int(np.argmin(centre))]
        else:
            ink, fine_mask, part, place, again = *find_ink(coarse)[:2], box, (0, 0), 1
        cut = slice(max(part[0] - 1, 0), part[2] + 1), slice(max(part[1] - 1, 0), part[3] + 1)
        found.append(Found(ink[cut], (up, to_left, down, to_right)))
    return found


def shrink(colours: np.ndarray, factor: int) -> np.ndarray:
    """Return a picture reduced by a whole factor; what fills no whole block at the right and below is left out."""
    height, width = (size // factor * factor for size in colours.shape[:2])
    if factor == 1 or not height or not width:
        return colours
    blocks = colours[:height, :width].reshape(height // factor, factor, width // factor, factor, -1)
    return blocks.mean(axis=(1, 3))
