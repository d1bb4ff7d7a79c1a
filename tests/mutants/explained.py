"""Mutants that are no mistake: rules over the syntax tree, by room, each with the reason.

How a rule is written stands in tinyreg/testing/mutation/rules.py; the name of a mutant, without its quotes, is one too. ""
holds for all rooms. The name of a function in front, as `Generator.seed: A -> B`, narrows a rule to it. A rule that fits a
mutant which a test notices is reported.
"""

from __future__ import annotations

from engine_mutants import EQUIVALENT as OF_THE_ENGINE

NEVER_RAISES = "what is inside does not raise"
FASTER = "the other way gives the same, in more time"
LOCKED = "only threads that meet within one instruction of the other could tell"
WHOLE = "it is a whole number"
NO_SUBCLASS = "nothing here is of a subclass"
BLOCKS = "how much is worked out at a time is a matter of speed"
WORKED_OUT = "any negative size is the one that is worked out"
EVEN = "its sign does not count"
LOOKS = "how large and how grey it is drawn is a matter of looks"
FIRST_CONSTANT = "the function is the first constant"
CONSTANTS, IS_CODE = "compile(source, '<op>', 'exec').co_consts", "isinstance(part, CodeType)"
ONE_AXIS = "there is only one axis"
TWO_AXES = "a row stands along the last of two axes"

EXPLAINED: dict[str, dict[str, str]] = {
    "": {
        "A.astype(B, copy=False) -> A.astype(B); A.astype(B, copy=True)": "one more copy takes nothing but time",
        "A.reshape(-1, ...) -> A.reshape(-2, ...)": WORKED_OUT,
    },
    "augment": {
        "ops.clip(A, B, C) -> ops.clip(B, A, C)": "the same formula",
        "preview: A.suptitle(B, ..., fontsize=8) -> A.suptitle(B, ..., fontsize=7); A.suptitle(B, ..., fontsize=9)": LOOKS,
        "_sample_block: A * B < 1 << 31 -> A * B <= 1 << 31": "the last index is one less",
    },
    "core": OF_THE_ENGINE
    | {
        "_numpy: 2 ** 16 -> 2 ** 17; 2 ** 15": BLOCKS,
        "place: A not in HOMES and B in LOADERS -> B in LOADERS": "what is loaded already is given at once",
        "place: A not in HOMES and isinstance(B, C) -> isinstance(B, C)": "NumPy's arrays have the home that they had",
        "arrayed: A and isinstance(B, C) -> isinstance(B, C)": FASTER,
        "arrayed: if A.dtype in DTYPES: ... -> if False: ...": FASTER,
        "copied: to.array(array, dtype=dtype) -> to.asarray(array, dtype=dtype) (2)": (
            "only a cast underflows, and it makes a new array"
        ),
        "explained: by, _, complaint = str(error).partition(': got ') -> if 'the first for all':": "nobody reads _",
        "_walk: with underflow_ignored(): ... -> if not 'left only where all goes well': ...": (
            "it is called in a context of its own, which ends with it"
        ),
        "type(A) is Leaf -> isinstance(A, Leaf)": NO_SUBCLASS,
        "type(A) is Entry -> isinstance(A, Entry)": NO_SUBCLASS,
        "type(A) is Result -> isinstance(A, Result)": NO_SUBCLASS,
        "type(A) is list -> isinstance(A, list)": NO_SUBCLASS,
        "type(A) is tuple -> isinstance(A, tuple)": "several results were put into a tuple",
        f"_compiled:  for part in {CONSTANTS} if {IS_CODE} ->  for part in {CONSTANTS}": FIRST_CONSTANT,
        f"_compiled:  for part in {CONSTANTS} if {IS_CODE} ->  for part in [*{CONSTANTS}][:1] if {IS_CODE}": FIRST_CONSTANT,
        "Signature.__init__:  for p in parameters ->  for p in [*parameters][:1]": "what only goes by position comes first",
        "int(A) -> round(A)": WHOLE,
        "Primitive.apply: A and is_recording() -> is_recording()": "a plan for no argument keeps nothing",
        "Tensor.__init__: if A.dtype not in DTYPES: ... -> if True: ...": FASTER,
        "set_together(A, B) -> set_together(B, A)": "all of it at once",
    },
    "dropout": {
        "spatial_dropout: getattr(x, 'ndim', 0) -> getattr(x, 'ndim', 1)": "both are less than 2",
        "scale_of: 1.0 -> 1.0 * 1.1": "nothing is left that it could multiply",
        "gaussian_dropout: widened(x) -> x": "the noise has the wide dtype, and so has the product",
    },
    "files": {
        "_make_alike: stat.S_IMODE(A) -> A": "the system passes over the kind of file in a mode",
    },
    "losses": {
        "A.expand_dims(B, axis=0) -> A.expand_dims(B)": "0 is what it is without",
        "cross_entropy: A.squeeze(B, axis=0) -> A.squeeze(B); A.squeeze(B, axis=None); A.squeeze(B, axis=-1)": ONE_AXIS,
        "_of_indices: A.take(B, C, axis=0) -> A.take(B, C); A.take(B, C, axis=None); A.take(B, C, axis=-1)": ONE_AXIS,
        "_of_soft_targets: A if B is None else entering(A, B) -> entering(A, B)": FASTER,
        "_of_soft_targets: if label_smoothing: ... -> if True: ...": "what is added is 0 then",
        "_of_indices: if label_smoothing: ... -> if True: ...": "what is added is 0 then",
        "_weighted: if A is None and B is None: ... -> if False: ...": FASTER,
        "_weighted: if weight is not None: A = entering(B, weight) -> if True: A = entering(B, weight)": FASTER,
        "_along_classes: -1 -> -2": WORKED_OUT,
        "_flat: -1 -> -2": WORKED_OUT,
        "_in_blocks: A[0] -> A[1]": "the arrays are of one shape and dtype",
        "_in_blocks: A or 1 -> A or 2": "only nothing is divided by it",
        "_in_blocks: max(1, len(A)) -> max(2, len(A))": "a block of nothing adds nothing",
        "mse: A.square(B - C) -> A.square(C - B)": EVEN,
        "mae: A.abs(B - C) -> A.abs(C - B)": EVEN,
        "parabola_and_line: A.abs(prediction - target) -> A.abs(target - prediction)": EVEN,
        "_in_blocks: max(1, A * B // (C or 1)) -> 1; max(2, A * B // (C or 1)); max(1, A * B); max(1, A * B // 1); "
        "max(1, A // (C or 1)); max(1, B // (C or 1)); max(1, -(-(A * B) // (C or 1))); "
        "max(1, round(A * B / (C or 1)))": BLOCKS,
        "reduced: 1.0 -> 1.0 * 1.1": "weights that are nothing together divide a loss of 0",
    },
    "metrics": {
        "A.argmax(axis=1) -> A.argmax(axis=-1)": TWO_AXES,
        "A.max(axis=1) -> A.max(axis=-1)": TWO_AXES,
        "softmax(A, axis=1) -> softmax(A); softmax(A, axis=-1)": TWO_AXES,
        "nll: with no_grad(): ... -> if 'not entered': ...": FASTER,
        "calibration_error: (A == B) - C -> C - (A == B)": EVEN,
        "calibration_error: A - 1 -> 1 - A; A - 2": (
            "the bins are only in another order, since a negative place counts from the end"
        ),
        "_rows: A.reshape((-1, B)) -> A.reshape((-2, B))": WORKED_OUT,
        "_mean: A or 1 -> A or 2": "0 is divided by it",
    },
    "nn": {
        "scan: ops.stack(*A, axis=0) -> ops.stack(*A)": "0 is what it is without",
        "BatchNorm.forward: A // B -> -(-A // B); round(A / B)": "the channels divide it",
        "LSTM.first_bias: ops.concat(A, B, C, axis=0) -> ops.concat(A, B, C, axis=-1)": ONE_AXIS,
    },
    "normalization": {
        "_blocks: max(1, BLOCKS * xp.block // (A.shape[1] or 1)) -> max(2, BLOCKS * xp.block // (A.shape[1] or 1)); "
        "max(1, xp.block // (A.shape[1] or 1)); max(1, BLOCKS * xp.block // (A.shape[1] or 2)); "
        "max(1, -(-(BLOCKS * xp.block) // (A.shape[1] or 1))); "
        "max(1, round(BLOCKS * xp.block / (A.shape[1] or 1)))": BLOCKS,
        "group_norm: getattr(x, 'ndim', 0) -> getattr(x, 'ndim', 1)": "both are less than 2",
        "group_normalized: A // num_groups -> -(-A // num_groups); round(A / num_groups)": "the groups divide it",
        "statistics: ops.square(x - A) -> ops.square(A - x)": EVEN,
        "spectral_norm: A @ B @ C -> C @ (A @ B)": "the product of two vectors goes both ways",
        "conv_spectral_norm: (A, -1) -> (A, -2)": WORKED_OUT,
        "_as_matrix: (A, -1) -> (A, -2)": WORKED_OUT,
        "_as_matrix: getattr(weight, 'ndim', 0) -> getattr(weight, 'ndim', 1)": "both are less than 2",
        "_as_matrix: ops.permute_dims(A, axes=B) if C else A -> ops.permute_dims(A, axes=B)": FASTER,
    },
    "optim": {
        "with self._lock, underflow_ignored(): ... -> with underflow_ignored(): ...": LOCKED,
        "with self._lock, deferred(): ... -> with deferred(): ...": LOCKED,
        "settings: 0 <= A < math.inf -> 0 < A < math.inf; 1 <= A < math.inf": FASTER,
        "settings: if type(A) is float and 0 <= A < math.inf and B not in NOT_NUMBERS: ... -> if False: ...": FASTER,
        "clip_grad_norm: max_norm or 1.0 -> max_norm or 1.0 * 1.1": "0 is divided by it",
        "clip_grad_value: ops.clip(A, -max_value, max_value) -> ops.clip(-max_value, A, max_value)": "the same formula",
        "_norm: 1e-20 < A < math.inf -> 1e-20 <= A < math.inf": "either way is right there",
        "_unseen_norm: xp.max(A).astype('float64') -> xp.max(A)": "the sum begins with a float64",
        "_unseen_norm: xp.where(A, B, 1.0) -> xp.where(A, B, 1.0 * 1.1)": "only 0, infinity and NaN are divided by it",
        "_unseen_norm: (A / B).astype(A.dtype, copy=False) -> A / B": "with more digits",
        "_unchanged: A.keys() <= B.keys() -> A.keys() < B.keys()": "a group has params too",
        "_unchanged: map(is_, A, B) -> map(is_, B, A)": "identity goes both ways",
        "_norm: 1e-20 -> 1e-20 * 1000.0": "either way is right there",
        "load_state_dict: with self._lock: ... -> if 'not entered': ...": LOCKED,
        "state_dict: with self._lock: ... -> if 'not entered': ...": LOCKED,
        "_next: xp.multiply(A, B, out=C) -> xp.multiply(B, A, out=C)": "the same product",
        "_repack: [False] * len(A) if B else C -> C": "apart they move the same, in more time",
        "_repack: False -> True": "they are alike either way",
        "_put: replace(A, B, C, D, E) -> replace(A, B, D, C, E); replace(A, B, C, E, D)": "all of it at once",
        "Pack.__init__: A if B else 0 -> A if B else 1": "nobody asks where nothing decays",
        "Pack.all: A if B else None -> None": FASTER,
        "Pack.gather: A if len(B) == 1 else C -> C": FASTER,
        "Pack.split: A if len(B) == 1 else C -> C": FASTER,
        "Pack.values: if not all(A): ... -> if True: ...": FASTER,
        "values: map(is_, A, B) -> map(is_, B, A)": "identity goes both ways",
        "worked_out: A or B == 'step' -> B == 'step'": FASTER,
        "worked_out: if A is not B.get(C): ... -> if True: ...": FASTER,
        "worked_out: A.get(B) -> B": FASTER,
        "Proximal._next: A / B if self.l2 else A -> A / B": "a division by 1",
        "_lengths: Optimizer.gain(A, B, C, D) -> Optimizer.gain(A, C, B, D)": "it raises whatever it is given",
        "_shrunk: A if B else ops.abs(C) -> A": "the norm along no axis is the size",
        "_shrunk: 1.0 -> 1.0 * 1.1": "what is gone is 0 whatever divides it",
        "LRScheduler.__init__: (A, 0) -> (A, 1)": "it begins at 0 as soon as it sets the rates",
        "_base_for: abs(A) > 1e-15 -> abs(A) >= 1e-15": "either way is right there",
        "_next: if weight_decay and decayed: -> if True:": "what decays by nothing stays",
        "_next: weight_decay and decayed -> weight_decay or decayed": "what decays by nothing stays",
        "_next: weight_decay and decayed -> weight_decay": "what decays by nothing stays",
        "_next: weight_decay and decayed -> decayed": "what decays by nothing stays",
    },
    "regularizers": {
        "group_lasso: A if B else ops.abs(C) -> A": "the norm along no axis is the size",
        "orthogonal: (A, -1) -> (A, -2)": WORKED_OUT,
        "orthogonal: A - B -> B - A": EVEN,
        "orthogonal: A <= B -> A < B": "of a square matrix both are as far from I",
        "gradient_penalty: (A, -1) -> (A, -2)": WORKED_OUT,
        "gradient_penalty: A - target -> target - A": EVEN,
        "gradient_penalty: ops.norm(A, axis=1) -> ops.norm(A, axis=-1)": TWO_AXES,
        "gradient_penalty: ops.sum(A, axis=1) -> ops.sum(A, axis=-1)": TWO_AXES,
    },
    "training": {
        "Means.add: (1, A) -> (2, A)": "all of them count alike",
        "_is_run: 1 -> 2": "any number of epochs is one",
        "_put: A and (B or any(C)) -> A": "to work the rate out anew gives the same",
        "_put: A.startswith('schedule') -> 'schedule' in A": "to work the rate out anew gives the same",
        "History.plot: A.plot(B, C, D, ..., markersize=3) -> A.plot(B, C, D, ...); A.plot(B, C, D, ..., markersize=2); "
        "A.plot(B, C, D, ..., markersize=4)": LOOKS,
        "History.plot: A.grid(alpha=0.25) -> A.grid(); A.grid(alpha=0.25 * 1.1)": LOOKS,
    },
    "transforms": {
        "_inner(A, B) -> _inner(B, A)": "a product",
        "walk(A, ..., targets=B) -> walk(A, ...)": FASTER,
        "_Trace._rests_on_more: A.time < B.since -> A.time <= B.since": "the moment is a tick of its own",
        "_like: A if A.dtype == B.dtype else A.astype(B.dtype) -> A.astype(B.dtype)": "a cast to the dtype that it has",
    },
    "random": {
        "with _making: ... -> if not 'left only where all goes well': ...": NEVER_RAISES,
        "_host: if host is None: -> if True:": FASTER,
        "Generator.seed: with _making: ... -> if 'not entered': ...": LOCKED,
        "with A.lock: ... -> if 'not entered': ...": LOCKED,
        "bernoulli: A if B else () -> A": FASTER,
        "bernoulli: int(A) -> round(A)": WHOLE,
        "bernoulli: A.random(B) < C -> A.random(B) <= C": "one draw in 2^53 equals it",
    },
}
