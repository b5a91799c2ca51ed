"""Finding and undoing a shift, a rotation or a scale of one image against the other.

The pair is judged by patches: small squares, spread over the picture and put where it has texture. Each says how well
it matches and which way it would have to move to match better. A change in the picture spoils the patches that it
touches, and these lose their say, so that the rest decides.

Only patches are looked at where the pair lies right; for a search each image is shrunk once.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Alignment", "describe", "find_alignment", "find_stride"]

Matrix = NDArray[np.float64]
Model = Literal["none", "translation", "rigid", "affine"]

# Samples along the side of a patch, and around it: room to smooth, to turn by 20 degrees and to take a step.
PATCH = 32
MARGIN = 12

# Patches along a side of the image, at most. Of two neighbours one estimates and the other judges, as on a chessboard.
GRID = 12

# Samples are means of 1, 2 or 4 pixels squared: fine texture first, coarse where there is noise or none.
LARGEST_STEP = 4

# Images must be as large, in samples, for patches to have room.
SMALLEST_SIDE = 56

# Patches are smoothed by a Gaussian of sigma 1. It leaves white noise 0.0796 of its variance, and what it takes away
# has 0.761; so white noise that lost the variance v keeps NOISE v.
NOISE = 0.0796 / 0.761

# A patch has texture if smoothing leaves it so many times what it leaves white noise, which was never above 1.4 in
# 144 patches (photographs: 10 to 1000), and half a level of 255 at least.
TEXTURE = 5.0
FAINTEST = 0.5

# A patch is the same if it differs by no more than this share of its variance, and twice what noise explains.
SAME = 0.1

# Windows with a larger share of pixels that are not finite do not count; the rest have their mean there.
MOST_HOLES = 0.02

# So many patches with texture, at least, can tell anything ...
FEWEST = 6

# ... this share of them must be the same for the pair to lie right, and this for a search to be needless ...
ENOUGH = 0.5
SURE = 0.8

# ... and where no transform is better, with this share the pair is taken to lie as it should, if with many changes.
LYING = 0.25

# A transform must win this share of them over: fewer than changes leave of the area, because a change spoils every
# patch that it touches.
WON = 0.3

# In pixels: a transform that moves nothing further is close enough to be found by small steps.
NEAR = 2.0

# What weighs less than this share of what weighs most in the equations is not settled: stripes 0.0001, pages of text
# 0.006, photographs 0.03 and more.
UNSETTLED = 1e-3

# A patch is won where the misfit falls to this, and the error of the unsmoothed patches must fall to that.
CLEARLY = 0.8
SHARPLY = 0.9

# In pixels: a transform that moves nothing further is not worth the little that resampling blurs.
SMALLEST = 0.05

# The longer side of the shrunk images, at most (in pixels), and the share of a side that a shift may have.
SHRUNK = 512
LARGEST_SHIFT = 1 / 3

# Pixels that are shrunk at a time: images may be read in parts.
BAND_PIXELS = 2**24

NOUNS = {"translation": "shift", "rigid": "shift or rotation", "affine": "affine transform"}

_compile = njit(nogil=True, error_model="numpy", cache=True)
_IDENTITY = np.eye(3)


class Alignment(NamedTuple):
    """How `after` lies on `before`."""

    model: Model
    """What was asked."""
    matrix: Matrix
    """(3, 3): takes (row, column, 1) of a place in before to the place in after that shows the same."""
    outcome: Literal["off", "not needed", "aligned", "could not align"]
    reason: str
    """In words for the user, with numbers."""
    shape: tuple[int, int]
    """Of before; shifts are told of its centre."""


class _Pair(NamedTuple):
    before: NDArray[Any]
    after: NDArray[Any]
    level: float
    """The unit of intensity: 1 of 255 levels."""


class _Places(NamedTuple):
    """Where patches lie. Their samples are the means of `step` by `step` pixels."""

    step: int
    patch: int
    """Samples along the side of a patch."""
    corners: NDArray[np.int64]
    """(n, 2): first pixel of each window, a patch with `MARGIN` around it, in before."""


class _Scene(NamedTuple):
    """Patches of a pair, in levels; `step`, `patch` and `corners` as in `_Places`."""

    pair: _Pair
    step: int
    patch: int
    corners: NDArray[np.int64]
    smooth: NDArray[np.float32]
    """(n, size, size): windows of before, smoothed."""
    sharp: NDArray[np.float32]
    """The same, not smoothed."""
    grain: NDArray[np.float64]
    """(n,): variance that smoothing took away; infinite where a window has too many pixels that are not finite."""


class _Votes(NamedTuple):
    """What patches say of a transform; one row a patch. Levels are those of before."""

    middles: NDArray[np.float64]
    """(n, 2): row and column in before, in pixels."""
    pull: NDArray[np.float64]
    """(n, 2): mean of gradient times residual."""
    stiffness: NDArray[np.float64]
    """(n, 2, 2): mean of gradient times gradient."""
    misfit: NDArray[np.float64]
    """2 (1 - correlation): 0 = same but for gain and offset, 2 = unrelated; infinite where after does not reach."""
    error: NDArray[np.float64]
    """Mean of the absolute residual, in levels; infinite where after does not reach."""
    variance: NDArray[np.float64]
    """That of before, in levels squared."""
    textured: NDArray[np.bool_]
    same: NDArray[np.bool_]


def find_alignment(before: NDArray[Any], after: NDArray[Any], model: Model, data_range: float) -> Alignment:
    """Return how `after` lies on `before`, by a transform that is only told if it makes the pair clearly more similar.

    Parameters
    ----------
    before, after : (H, W) uint8, uint16, float32 or float64
        They may differ in shape; pixels that are not finite do not count. Anything that has ``shape`` and ``dtype``
        and gives arrays for slices will do: of images that need no alignment little is read.
    model : {"none", "translation", "rigid", "affine"}
        What may differ: a shift; shift and rotation; any affine transform. Shifts are found up to a third of the
        image's sides, rotations up to some 20 degrees, scales from 0.8 to 1.25.
    data_range : float
        SSIM's L: what counts as texture scales with it.

    Returns
    -------
    Alignment
        "not needed" also where there is too little texture to tell, and where much of the pair matches as it lies
        although some of it moved. Of equally good shifts (stripes, tiles) the smallest.

    Raises
    ------
    ValueError
        If `model` is none of the four words.

    Notes
    -----
    Shifts are proposed by phase correlation of the shrunk images, their details only (Kuglin and Hines 1975);
    rotations and scales by SIFT features (Lowe 2004) and RANSAC (Fischler and Bolles 1981). The best proposal is
    refined on patches, coarse to fine, by Gauss-Newton steps with the gradient of before, which noise does not bias
    (Baker and Matthews 2004); patches count less the more they differ. Patches that had no part in this then decide.
    """
    if model not in ("none", *NOUNS):
        raise ValueError(f"model is {model!r}; give 'none', 'translation', 'rigid' or 'affine'")

    def answer(outcome: Any, reason: str, matrix: Matrix = _IDENTITY) -> Alignment:
        return Alignment(model, matrix.copy(), outcome, reason, before.shape)

    if model == "none":
        return answer("off", "not asked for")
    pair = _Pair(before, after, data_range / 255)
    found = _find_scenes(pair)
    if found is None:
        return answer("not needed", "too little texture to tell")
    estimating, places = found
    lying = _measure(estimating, _IDENTITY)
    matrix, share = _IDENTITY, _same_share(lying)
    # Noise makes the first step up to half too short
    if share < ENOUGH or _reach(_solve(lying, model, estimating, 1.0), before.shape) > 0.4 * SMALLEST:
        matrix = _refine(estimating, _IDENTITY, model)
        near, reach = _same_share(_measure(estimating, matrix)), _reach(matrix, before.shape)
        if near < (ENOUGH if reach < SMALLEST else SURE) or reach > NEAR:
            matrix = _search(estimating, model, matrix)
        matrix = _judge(_cut_scene(pair, places), matrix, model)
    if _reach(matrix, before.shape) >= SMALLEST:
        return answer("aligned", _tell(answer("aligned", "", matrix)), matrix)
    if np.count_nonzero(lying.textured) < FEWEST:
        return answer("not needed", "too little texture in both images to tell")
    if share < LYING and not _is_spread(lying, lying.textured):
        return answer("not needed", "too little of the image has texture to tell a shift from something that moved")
    text = f"{share:.0%} of the patches with texture match as they lie"
    if share >= ENOUGH:
        return answer("not needed", text)
    text += f" and no {NOUNS[model]} makes the overlap clearly more similar"
    return answer("not needed" if share >= LYING else "could not align", text)


def find_stride(shape: tuple[int, ...]) -> int:
    """Return of how many pixels, down and across, one is looked at to place patches."""
    return -(-max(shape) // SHRUNK)


def describe(alignment: Alignment) -> dict[str, Any]:
    """Return the numbers of an alignment: its matrix is rotation times shear times scale, about the image's centre.

    Returns
    -------
    dict
        ``shift``: (rows, columns) in pixels, by which the centre of before lies further down and right in after.
        ``rotation``: in degrees, positive where after is turned anticlockwise (rows counted downwards).
        ``scale``: (along rows, along columns), above 1 where after is larger.
        ``shear``: rows that a place moves down for each column to the right; 0 = right angles stay right.
    """
    (a, b), (c, d) = alignment.matrix[:2, :2]
    middle = (np.array(alignment.shape) - 1) / 2
    shift = alignment.matrix[:2, :2] @ middle + alignment.matrix[:2, 2] - middle
    scale_row = math.hypot(a, c)
    scale_col = (a * d - b * c) / scale_row
    return {
        "shift": (float(shift[0]), float(shift[1])),
        "rotation": math.degrees(math.atan2(c, a)),
        "scale": (scale_row, float(scale_col)),
        "shear": float((a * b + c * d) / (scale_row * scale_col)),
    }


def _tell(alignment: Alignment) -> str:
    found = describe(alignment)
    text = f"shift of {found['shift'][0]:.2f} rows, {found['shift'][1]:.2f} columns"
    if alignment.model != "translation":
        text += f", rotation of {found['rotation']:.2f} degrees"
    if alignment.model == "affine":
        text += f", scale of {found['scale'][0]:.4f} by {found['scale'][1]:.4f}, shear of {found['shear']:.4f}"
    return text


def _find_scenes(pair: _Pair) -> tuple[_Scene, _Places] | None:
    """Return patches of the smallest step at which before shows texture; None if there is none.

    They are those that estimate; the places of those that judge follow.
    """
    best, most = None, FEWEST - 1
    step = 1
    while step <= LARGEST_STEP and min(*pair.before.shape, *pair.after.shape) // step >= SMALLEST_SIDE:
        estimating, judging = _place(pair.before, step)
        scene = _cut_scene(pair, estimating)
        count, enough = _count_textured(scene), max(2 * FEWEST, 2 * len(scene.corners) / 3)
        if count < enough:
            count += _count_textured(_cut_scene(pair, judging))
        if count >= enough:
            return scene, judging
        if count > most:
            best, most = (scene, judging), count
        step *= 2
    return best


def _count_textured(scene: _Scene) -> int:
    """Return how many patches of before have texture."""
    return int(np.count_nonzero(_has_texture(_measure_variance(scene.smooth, MARGIN), scene.grain)))


def _has_texture(variance: NDArray[np.float64], grain: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (variance > TEXTURE * NOISE * grain) & (variance > FAINTEST**2)


def _cut_scene(pair: _Pair, places: _Places) -> _Scene:
    """Return patches of before, cut out."""
    size = places.patch + 2 * MARGIN
    return _Scene(pair, *places, *_cut(pair.before, places.corners, places.step, size, pair.level))


def _place(plane: NDArray[Any], step: int) -> tuple[_Places, _Places]:
    """Return places for patches where `plane` has most texture in each cell of a grid.

    They are those in the white cells of a chessboard, which estimate, and as many in the black ones, which judge.
    """
    import cv2

    patch = PATCH if min(plane.shape) // step >= 6 * PATCH else PATCH // 2
    stride = find_stride(plane.shape)
    preview = plane[::stride, ::stride].astype(np.result_type(plane.dtype, np.float32))
    side = max(1, patch * step // stride)
    energy = cv2.blur(_find_energy(preview), (side, side), borderType=cv2.BORDER_CONSTANT)
    half = (patch + 2 * MARGIN) * step // 2
    cuts = []
    for length in plane.shape:
        room = length - 2 * half
        count = min(1 + 2 * room // (patch * step), GRID)
        cuts.append(np.linspace(0, room + 1, count + 1).astype(np.int64))
    corners = _choose(energy, cuts[0], cuts[1], half, stride)
    black = np.add.outer(*(np.arange(len(each) - 1) for each in cuts)) % 2 == 1
    both = min(np.count_nonzero(black), np.count_nonzero(~black))
    return _Places(step, patch, corners[~black][:both]), _Places(step, patch, corners[black][:both])


@_compile
def _find_energy(preview):  # type: ignore[no-untyped-def]
    """Return how far each pixel is from those below and to the right; 0 where that is not finite."""
    height, width = preview.shape
    energy = np.empty_like(preview)
    zero = preview.dtype.type(0)
    for i in range(height):
        line, lower, row = preview[i], preview[min(i + 1, height - 1)], energy[i]
        for j in range(width - 1):
            row[j] = abs(lower[j] - line[j]) + abs(line[j + 1] - line[j])
        row[width - 1] = abs(lower[width - 1] - line[width - 1])
        for j in range(width):
            row[j] = row[j] if row[j] < np.inf else zero
    return energy


@_compile
def _choose(energy, row_cuts, column_cuts, half, stride):  # type: ignore[no-untyped-def]
    """Return the first pixels of the windows, (rows, columns, 2), in the middle of which there is most energy."""
    corners = np.empty((row_cuts.size - 1, column_cuts.size - 1, 2), np.int64)
    for m in range(corners.shape[0]):
        top, bottom = row_cuts[m], row_cuts[m + 1]
        for n in range(corners.shape[1]):
            left, right = column_cuts[n], column_cuts[n + 1]
            row, col = (top + half) // stride, (left + half) // stride
            most = energy[row, col]
            for i in range((top + half) // stride, 1 + (bottom - 1 + half) // stride):
                for j in range((left + half) // stride, 1 + (right - 1 + half) // stride):
                    if energy[i, j] > most:
                        most, row, col = energy[i, j], i, j
            corners[m, n, 0] = min(max(row * stride - half, top), bottom - 1)
            corners[m, n, 1] = min(max(col * stride - half, left), right - 1)
    return corners


def _cut(
    plane: NDArray[Any], corners: NDArray[np.int64], step: int, size: int, level: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return windows of `size` by `size` samples, smoothed and as they are, and the variance that smoothing took."""
    import cv2

    if not len(corners):
        return np.empty((0, size, size), np.float32), np.empty((0, size, size), np.float32), np.empty(0)
    span = size * step
    raw = np.stack([plane[row : row + span, col : col + span] for row, col in corners.tolist()])
    holes = np.zeros(len(raw))
    if raw.dtype.kind == "f":
        valid = np.isfinite(raw)
        holes = 1 - valid.mean((1, 2))
        # Only what lies near a window's own middle keeps its digits in float32
        centers = np.where(valid, raw, 0).mean((1, 2), keepdims=True, dtype=np.float64)
        centers /= np.maximum(1 - holes, 1e-9)[:, None, None]
        raw = np.where(valid, raw - centers, 0)
    if step > 1:
        flat = raw.reshape(-1, size * step)
        raw = cv2.resize(flat, (size, len(flat) // step), interpolation=cv2.INTER_AREA)
    # Nothing is to be divided in 8 bits
    sharp: NDArray[Any] = (raw if level == 1 else raw / level).astype(np.float32).reshape(-1, size, size)
    smooth: NDArray[Any] = cv2.GaussianBlur(sharp.reshape(-1, size), (7, 7), 1.0).reshape(sharp.shape)
    grain = _measure_grain(sharp, smooth)
    grain[holes > MOST_HOLES] = np.inf
    return smooth, sharp, grain


@_compile
def _measure_grain(sharp, smooth):  # type: ignore[no-untyped-def]
    """Return the variance that smoothing took from each window, but for its border."""
    rim, size = 4, sharp.shape[1]
    grain = np.empty(len(sharp))
    columns = np.empty(size - 2 * rim)
    for n in range(len(sharp)):
        columns[:] = 0
        for i in range(rim, size - rim):
            one, other = sharp[n, i, rim : size - rim], smooth[n, i, rim : size - rim]
            for j in range(columns.size):
                taken = np.float64(one[j] - other[j])
                columns[j] += taken * taken
        grain[n] = columns.sum() / columns.size**2
    return grain


@_compile
def _measure_variance(smooth, margin):  # type: ignore[no-untyped-def]
    """Return the variance of each window within its margin."""
    inner = smooth.shape[1] - 2 * margin
    variance = np.empty(len(smooth))
    sums, squares = np.empty(inner), np.empty(inner)
    for n in range(len(smooth)):
        sums[:] = 0
        squares[:] = 0
        for i in range(margin, margin + inner):
            line = smooth[n, i, margin : margin + inner]
            for j in range(inner):
                value = np.float64(line[j])
                sums[j] += value
                squares[j] += value * value
        mean = sums.sum() / inner**2
        variance[n] = squares.sum() / inner**2 - mean * mean
    return variance


def _measure(scene: _Scene, matrix: Matrix, sharp: bool = False) -> _Votes:
    """Return what the patches say of `matrix`."""
    pair, step, patch = scene.pair, scene.step, scene.patch
    size = patch + 2 * MARGIN
    half = (size * step - 1) / 2
    middles = np.asarray(scene.corners + half, np.float64)
    corners = np.floor(middles @ matrix[:2, :2].T + matrix[:2, 2] - half + 0.5).astype(np.int64)
    inside = ((corners >= 0) & (corners <= np.array(pair.after.shape) - size * step)).all(1)
    after_smooth, after_sharp, after_grain = _cut(pair.after, corners[inside], step, size, pair.level)
    windows, others = (scene.sharp, after_sharp) if sharp else (scene.smooth, after_smooth)
    sums = np.zeros((len(corners), 9))
    numbers = np.flatnonzero(inside)
    _compare(windows, others, numbers, scene.corners, corners, matrix, step, patch, sums)
    sums[numbers[~np.isfinite(after_grain)], 8] = 0
    grain = scene.grain.copy()
    grain[inside] += after_grain
    reached, variance = sums[:, 8] > 0, sums[:, 5]
    misfit, error = np.where(reached, sums[:, 6], np.inf), np.where(reached, sums[:, 7], np.inf)
    textured = reached & _has_texture(variance, scene.grain)
    same = textured & (sums[:, 6] * variance <= SAME * variance + 2 * NOISE * grain)
    stiffness = sums[:, [2, 3, 3, 4]].reshape(-1, 2, 2)
    return _Votes(middles, sums[:, :2], stiffness, misfit, error, variance, textured, same)


def _same_share(votes: _Votes) -> float:
    """Return the share of the patches with texture that are the same."""
    count = np.count_nonzero(votes.textured)
    return float(np.count_nonzero(votes.same) / count) if count >= FEWEST / 2 else 0.0


def _fit(votes: _Votes) -> float:
    """Return the mean of the squared correlations, 0 to 1, over the better half of the patches with texture."""
    fits = np.sort(np.clip(1 - votes.misfit[votes.textured] / 2, 0, 1) ** 2)
    return float(fits[fits.size // 2 :].mean()) if fits.size >= FEWEST / 2 else 0.0


def _refine(scene: _Scene, matrix: Matrix, model: Model, rounds: int = 25) -> Matrix:
    """Return `matrix` improved until the patches pull no more; at first they count nearly alike."""
    for turn in range(rounds):
        change = _solve(_measure(scene, matrix), model, scene, max(0.5**turn, 0.03))
        matrix = matrix @ np.linalg.inv(change)
        if turn >= 3 and _reach(change, scene.pair.before.shape) < 0.01 * scene.step:
            break
    return matrix


def _equations(votes: _Votes, model: Model, scene: _Scene, floor: float) -> tuple[Matrix, NDArray[np.float64]]:
    """Return the normal equations of the small transform of before that brings its patches to where after shows them.

    A patch counts inversely to the variance that differs, and to `floor` of its own. Places are told in halves of the
    image's longer side, from its middle.
    """
    use = votes.textured
    misfit, variance = votes.misfit[use], votes.variance[use]
    weight = 1 / ((misfit + floor) * variance + FAINTEST**2)
    shape = np.array(scene.pair.before.shape)
    row, col = ((votes.middles[use] - (shape - 1) / 2) / (shape.max() / 2)).T
    one, zero = np.ones_like(row), np.zeros_like(row)
    columns = [(one, zero), (zero, one)]
    if model == "rigid":
        columns += [(-col, row)]
    elif model == "affine":
        columns += [(row, zero), (col, zero), (zero, row), (zero, col)]
    basis = np.array(columns).transpose(2, 1, 0)
    normal = np.einsum("n,nik,nij,njl->kl", weight, basis, votes.stiffness[use], basis, optimize=True)
    return normal, np.einsum("n,nik,ni->k", weight, basis, votes.pull[use], optimize=True)


def _is_settled(votes: _Votes, model: Model, scene: _Scene) -> bool:
    """Return whether the patches settle all of a transform; of shifts alone, what stripes leave open stays 0."""
    sizes = np.linalg.svd(_equations(votes, model, scene, 0.1)[0], compute_uv=False)
    return model == "translation" or bool(sizes[-1] > UNSETTLED * sizes[0])


def _solve(votes: _Votes, model: Model, scene: _Scene, floor: float) -> Matrix:
    """Return the transform that the equations ask for; what they do not settle stays as it is."""
    normal, wanted = _equations(votes, model, scene, floor)
    found = np.linalg.lstsq(normal, wanted, rcond=UNSETTLED)[0]
    # The gradient says nothing of what lies further away than the smoothing reaches
    found *= min(1.0, 3 * scene.step / max(float(np.abs(found).max(initial=0)), 1e-9))
    middle = (np.array(scene.pair.before.shape) - 1) / 2
    radius = max(scene.pair.before.shape) / 2
    change = np.eye(3)
    if model == "rigid":
        cos, sin = math.cos(found[2] / radius), math.sin(found[2] / radius)
        change[:2, :2] = (cos, -sin), (sin, cos)
    elif model == "affine":
        change[:2, :2] += found[2:].reshape(2, 2) / radius
    change[:2, 2] = middle + found[:2] - change[:2, :2] @ middle
    return change


def _reach(matrix: Matrix, shape: tuple[int, ...]) -> float:
    """Return how far `matrix` moves the corner of an image of `shape` that it moves most, in pixels."""
    last_row, last_col = shape[0] - 1.0, shape[1] - 1.0
    ends = np.array([(0, 0, 1), (last_row, 0, 1), (0, last_col, 1), (last_row, last_col, 1)])
    return float(np.hypot(*(ends @ matrix.T - ends)[:, :2].T).max())


def _search(estimating: _Scene, model: Model, start: Matrix) -> Matrix:
    """Return the best transform of `start` and those that the shrunk images propose."""
    pair = estimating.pair
    step = estimating.step
    sides = min(*pair.before.shape, *pair.after.shape)
    while max(pair.before.shape) > SHRUNK * step and sides // (2 * step) >= SMALLEST_SIDE:
        step *= 2
    small = _Pair(_shrink(pair.before, step), _shrink(pair.after, step), pair.level)
    shape = small.before.shape
    # From samples to pixels
    up = np.array([(step, 0, (step - 1) / 2), (0, step, (step - 1) / 2), (0, 0, 1)])
    starts = [np.linalg.inv(up) @ start @ up, _IDENTITY]
    starts += _propose_shifts(small.before, small.after)
    halves = _shrink(small.before, 2), _shrink(small.after, 2)
    starts += [_shift_by(2 * shift[0, 2], 2 * shift[1, 2]) for shift in _propose_shifts(*halves)]
    if model != "translation":
        starts += _propose_turns(small, model)
    scene = _cut_scene(small, _place(small.before, 1)[0])
    fits = [_fit(_measure(scene, start)) for start in starts]
    best = np.argsort(-np.array(fits), kind="stable")[:4]
    tried = [_refine(scene, starts[i], model, 8) for i in best]
    left = [1 - _fit(_measure(scene, matrix)) for matrix in tried]
    close = [matrix for matrix, rest in zip(tried, left, strict=True) if rest <= 1.1 * min(left) + 0.002]
    matrix = _refine(scene, min(close, key=lambda matrix: _reach(matrix, shape)), model)
    matrix = _shorten(scene, matrix, model, _propose_shifts(small.before, small.before))
    matrix = up @ matrix @ np.linalg.inv(up)
    while step > estimating.step:
        step = min(step // 2, LARGEST_STEP)
        finer = _cut_scene(pair, _place(pair.before, step)[0]) if step > estimating.step else estimating
        matrix = _refine(finer, matrix, model)
    return matrix


def _shorten(scene: _Scene, matrix: Matrix, model: Model, periods: list[Matrix]) -> Matrix:
    """Return the transform that moves least and is as good as `matrix`, of those that differ by a period of before."""
    shape = scene.pair.before.shape
    left = 1 - _fit(_measure(scene, matrix))
    middle = np.append((np.array(shape) - 1) / 2, 1)
    rows, cols = (matrix @ middle - middle)[:2]
    shifts = [_shift_by(rows, 0), _shift_by(0, cols), *periods]
    while shifts:
        other = matrix @ np.linalg.inv(shifts[0])
        # By a sample at least, or it is the same shift not quite refined
        smaller = _reach(matrix, shape) - 1
        if _reach(other, shape) < smaller and _fit(_measure(scene, other)) > 0.3 * (1 - left):
            other = _refine(scene, other, model)
            if _reach(other, shape) < smaller and 1 - _fit(_measure(scene, other)) <= 1.2 * left + 0.002:
                matrix, shifts = other, [*periods]
                continue
        shifts = shifts[1:]
    return matrix


def _shrink(plane: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the means of `step` by `step` pixels; what is not finite becomes the mean of the rest."""
    import cv2

    rows, cols = plane.shape[0] // step, plane.shape[1] // step
    small = np.empty((rows, cols), np.result_type(plane.dtype, np.float32))
    band = max(1, min(1024, BAND_PIXELS // plane.shape[1]) // step)
    for top in range(0, rows, band):
        part = plane[top * step : min(top + band, rows) * step, : cols * step]
        small[top : top + band] = cv2.resize(part, (cols, len(part) // step), interpolation=cv2.INTER_AREA)
    valid = np.isfinite(small)
    if not valid.all():
        small[~valid] = small[valid].mean(dtype=np.float64) if valid.any() else 0
    return small


def _propose_shifts(before: NDArray[Any], after: NDArray[Any], count: int = 6) -> list[Matrix]:
    """Return the shifts at the highest peaks of the phase correlation of what is fine in two images."""
    import cv2

    shape = [cv2.getOptimalDFTSize(max(sizes)) for sizes in zip(before.shape, after.shape, strict=True)]
    spectra = []
    for image in (before, after):
        detail: NDArray[Any] = image - cv2.GaussianBlur(image, (0, 0), 3)
        detail /= np.abs(detail).mean() + np.float32(1e-30)
        # A few strong edges must not speak for all
        detail /= 1 + np.abs(detail) / 3
        detail *= np.hanning(image.shape[0] + 2)[1:-1, None].astype(np.float32)
        detail *= np.hanning(image.shape[1] + 2)[1:-1].astype(np.float32)
        spectra.append(np.fft.rfft2(detail, shape, (0, 1)))
    cross = np.conj(spectra[0]) * spectra[1]
    strength = np.abs(cross)
    cross /= strength + 1e-3 * strength.mean() + 1e-30
    # Peaks are made as wide as a Gaussian of 0.7 samples, for shifts between samples
    rows, cols = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    wide = np.exp(-2 * (0.7 * np.pi) ** 2 * (rows**2 + cols**2)).astype(np.float32)
    surface = np.fft.irfft2(cross * wide, shape, (0, 1))
    reach = [int(LARGEST_SHIFT * size) for size in before.shape]
    surface = np.roll(surface, reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1].astype(np.float32)
    peaks = np.where(surface == cv2.dilate(surface, np.ones((5, 5), np.uint8)), surface, -np.inf)
    found = []
    for place in np.argsort(-peaks, axis=None, kind="stable")[:count]:
        row, col = divmod(int(place), peaks.shape[1])
        found.append(_shift_by(row - reach[0], col - reach[1]))
    return found


def _shift_by(rows: float, cols: float) -> Matrix:
    return np.array([(1.0, 0, rows), (0, 1, cols), (0, 0, 1)])


def _propose_turns(small: _Pair, model: Model) -> list[Matrix]:
    """Return the transform that most pairs of similar features agree on, if any."""
    import cv2

    sift = cv2.SIFT.create(nfeatures=1500, contrastThreshold=0.01)
    features = []
    for image in (small.before, small.after):
        low, high = np.percentile(image, (1, 99))
        scaled = np.clip((image - low) * (255 / max(high - low, 1e-30)), 0, 255)
        features.append(sift.detectAndCompute(scaled.astype(np.uint8), None))
    (points, marks), (others, other_marks) = features
    if min(len(points), len(others)) < 4:
        return []
    matches = cv2.BFMatcher(cv2.NORM_L2).knnMatch(marks, other_marks, k=2)
    good = [first for first, second in matches if first.distance < 0.85 * second.distance]
    if len(good) < 4:
        return []
    # OpenCV says x, y
    places = np.array([points[match.queryIdx].pt[::-1] for match in good])
    goals = np.array([others[match.trainIdx].pt[::-1] for match in good])
    estimate = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
    found, _ = estimate(places, goals, method=cv2.RANSAC, ransacReprojThreshold=2.0, maxIters=5000)
    if found is None:
        return []
    matrix = np.vstack([found, (0, 0, 1)])
    largest, smallest = np.linalg.svd(matrix[:2, :2], compute_uv=False)
    if not 0.7 < smallest <= largest < 1.4:
        return []
    if model == "rigid":
        middle = places.mean(0)
        goal = matrix[:2, :2] @ middle + matrix[:2, 2]
        matrix[:2, :2] /= largest
        matrix[:2, 2] = goal - matrix[:2, :2] @ middle
    return [matrix]


def _judge(scene: _Scene, matrix: Matrix, model: Model) -> Matrix:
    """Return `matrix`, or its whole shift, if the patches match clearly better by it than as they lie; else identity.

    Whole shifts copy pixels instead of blurring them, which counts most in images of black and white.
    """
    old, new = _measure(scene, _IDENTITY), _measure(scene, matrix)
    won = new.textured & new.same & (new.misfit < CLEARLY * old.misfit)
    lost = old.textured & old.same & (old.misfit < CLEARLY * new.misfit)
    wins, losses = int(won.sum()), int(lost.sum())
    # By chance, without any preference, wins exceed losses by twice their standard deviation once in 44 times
    if wins < max(WON * np.count_nonzero(new.textured), 4 * losses, 2 * math.sqrt(wins + losses), 3):
        return _IDENTITY
    if not _is_spread(new, won) or not _is_settled(new, model, scene):
        return _IDENTITY
    choices = [_IDENTITY, matrix]
    if model == "translation":
        choices.append(np.rint(matrix))
    errors = np.array([_measure(scene, choice, sharp=True).error for choice in choices])
    best = 1 + int(np.argmin(errors[1:, won].mean(1)))
    both = old.textured & new.textured & np.isfinite(errors).all(0)
    return choices[best] if errors[best, both].sum() < SHARPLY * errors[0, both].sum() else _IDENTITY


def _is_spread(votes: _Votes, which: NDArray[np.bool_]) -> bool:
    """Return whether patches are from all over the picture, and not from one thing in it that may have moved."""
    reached = votes.middles[np.isfinite(votes.misfit)]
    extent = np.ptp(votes.middles[which], axis=0) / np.maximum(np.ptp(reached, axis=0), 1)
    return bool(extent.min() >= 1 / 3 and extent.prod() >= 1 / 4)


@_compile
def _compare(windows, others, numbers, corners, other_corners, matrix, step, patch, sums):  # type: ignore[no-untyped-def]
    """Compare patches of before with after where `matrix` puts them, mean and standard deviation made equal.

    `others` are windows of after for the `numbers` of these patches. Into their rows of `sums` go the means of gradient
    times residual (2) and of gradient times gradient (3), the variance of before, 2 (1 - correlation), the mean of the
    absolute residual, and 1 if the window of after was large enough. Gradients are by pixel.
    """
    size = windows.shape[1]
    margin = (size - patch) // 2
    area = patch * patch
    samples = np.empty((patch, patch))
    for k in range(numbers.size):
        n = numbers[k]
        window = windows[n, margin - 1 : size - margin + 1, margin - 1 : size - margin + 1]
        half = 0.5 * (step - 1)
        row, col = corners[n, 0] + step * margin + half, corners[n, 1] + step * margin + half
        y = (matrix[0, 0] * row + matrix[0, 1] * col + matrix[0, 2] - other_corners[n, 0] - half) / step
        x = (matrix[1, 0] * row + matrix[1, 1] * col + matrix[1, 2] - other_corners[n, 1] - half) / step
        if not _sample(others[k], y, x, matrix, samples):
            continue
        mean_b = mean_a = 0.0
        for i in range(patch):
            for j in range(patch):
                mean_b += window[i + 1, j + 1]
                mean_a += samples[i, j]
        mean_b /= area
        mean_a /= area
        aa = bb = ab = 0.0
        for i in range(patch):
            for j in range(patch):
                b, a = window[i + 1, j + 1] - mean_b, samples[i, j] - mean_a
                bb += b * b
                aa += a * a
                ab += a * b
        gain = math.sqrt(bb / aa) if aa > 0 else 0.0
        pull_y = pull_x = yy = yx = xx = error = 0.0
        for i in range(patch):
            for j in range(patch):
                down = (window[i + 2, j + 1] - window[i, j + 1]) / (2 * step)
                right = (window[i + 1, j + 2] - window[i + 1, j]) / (2 * step)
                residual = gain * (samples[i, j] - mean_a) - (window[i + 1, j + 1] - mean_b)
                error += abs(residual)
                pull_y += down * residual
                pull_x += right * residual
                yy += down * down
                yx += down * right
                xx += right * right
        row_sums = sums[n]
        row_sums[0], row_sums[1] = pull_y / area, pull_x / area
        row_sums[2], row_sums[3], row_sums[4] = yy / area, yx / area, xx / area
        row_sums[5] = bb / area
        row_sums[6] = 2 - 2 * ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else 2.0
        row_sums[7] = error / area
        row_sums[8] = 1


@_compile
def _sample(window, top, left, matrix, samples):  # type: ignore[no-untyped-def]
    """Fill `samples` from a square `window`, the first from (top, left), the others as `matrix` turns them.

    By the cubic kernel of Keys (1981): the windows are smoothed, so that better ones gain nothing. False if the
    window is too small.
    """
    size, patch = window.shape[0], samples.shape[0]
    k, m = int(top), int(left)
    turned = matrix[0, 0] != 1 or matrix[0, 1] != 0 or matrix[1, 0] != 0 or matrix[1, 1] != 1
    if not turned and k == top and m == left and min(k, m) >= 1 and max(k, m) + patch < size - 1:
        # A whole shift copies
        for i in range(patch):
            for j in range(patch):
                samples[i, j] = window[k + i, m + j]
        return True
    for i in range(patch):
        for j in range(patch):
            y = top + matrix[0, 0] * i + matrix[0, 1] * j
            x = left + matrix[1, 0] * i + matrix[1, 1] * j
            if not (1 <= y < size - 2 and 1 <= x < size - 2):
                return False
            k, m = int(y), int(x)
            t, u = y - k, x - m
            p = ((-0.5 * u + 1) * u - 0.5) * u
            q = (1.5 * u - 2.5) * u * u + 1
            r = ((-1.5 * u + 2) * u + 0.5) * u
            s = (0.5 * u - 0.5) * u * u
            w = window[k - 1 : k + 3, m - 1 : m + 3]
            samples[i, j] = (
                (((-0.5 * t + 1) * t - 0.5) * t) * (p * w[0, 0] + q * w[0, 1] + r * w[0, 2] + s * w[0, 3])
                + ((1.5 * t - 2.5) * t * t + 1) * (p * w[1, 0] + q * w[1, 1] + r * w[1, 2] + s * w[1, 3])
                + (((-1.5 * t + 2) * t + 0.5) * t) * (p * w[2, 0] + q * w[2, 1] + r * w[2, 2] + s * w[2, 3])
                + ((0.5 * t - 0.5) * t * t) * (p * w[3, 0] + q * w[3, 1] + r * w[3, 2] + s * w[3, 3])
            )
    return True
