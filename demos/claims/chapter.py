"""The chapter, claim by claim, in its order: what it says, in our words, and how that is put to the test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import facts
from .lab import (
    BASE,
    CLEAN,
    DATA,
    FEW,
    NOISY,
    Claim,
    Test,
    better,
    both,
    brings_less,
    claim,
    fact,
    lost_by_scale,
    of_course,
    on_data,
    rungs,
    scored,
)  # fmt: skip

NOISE = DATA[NOISY]
HALF = (0.2, 0.5, 0.5)  # dropout of the input, between the hidden layers, before the output
NORMED = replace(BASE, norm="batch")
SMALL = replace(BASE, batch=2, rate=0.001, steps=2500)
RUNGS: dict[str, dict[str, Any]] = {
    "dropout 0.3": {"dropout": (0.1, 0.3, 0.3)},
    "weight decay 1e-4": {"l2": 1e-4},
    "batch norm": {"norm": "batch"},
    "augmentation": {"augmentation": "geometric"},
    "early stopping": {"patience": 100},
}
TECHNIQUES: dict[str, dict[str, Any]] = {  # whose effect is drawn over the number of digits
    "L2": {"l2": 1e-2},
    "dropout": {"dropout": HALF},
    "batch norm": {"norm": "batch"},
    "early stopping": {"patience": 100},
    "augmentation": {"augmentation": "geometric"},
    "label smoothing": {"smoothing": 0.1},
}

CLAIMS: tuple[Claim, ...] = (
    claim(
        "6.1", "The expected error is bias squared, variance and noise.",
        fact("8 x 8 digits, 32 units: their sum, and the error", "", 0.05, facts.parts_and_error),
    ),
    claim(
        "6.1", "Bias is high where a model is too simple.",
        fact("8 x 8 digits, 2 units and 32: bias", "", "lower", facts.part("bias", 2, 32)),
        fact("8 x 8 digits, 32 units and 512: bias", "", "lower", facts.part("bias", 32, 512)),
    ),
    claim(
        "6.1", "Variance is high where a model is too complex.",
        fact("8 x 8 digits, 2 units and 32: variance", "", "higher", facts.part("variance", 2, 32)),
        fact("8 x 8 digits, 32 units and 512: variance", "", "higher", facts.part("variance", 32, 512)),
    ),
    claim(
        "6.1", "A network can learn its data by heart.",
        scored("500 digits: training accuracy, labels as they are and all drawn anew", "training accuracy", 1.0, BASE,
               replace(BASE, redrawn=1.0)),
    ),
    claim(
        "6.1", "The validation loss rises while the training loss still falls.",
        *(of_course(f"{name}: {score}", score, way, "at a fifth", DATA[name]) for name in (CLEAN, NOISY)
          for score, way in (("training loss", "lower"), ("validation loss", "higher"))),
    ),
    claim(
        "6.1", "The gap between training and validation accuracy grows.",
        *(of_course(name, "gap", "higher", "at a twentieth", DATA[name]) for name in (CLEAN, NOISY)),
    ),
    claim("6.2", "A step with L2 is a step of weight decay.", fact("difference", "of |w|", 1e-6, facts.step_with_l2)),
    claim("6.2", "L2 makes weights smaller.", *on_data("norm", "lower", l2=1e-2)),
    claim("6.2", "L2 prevents overfitting.", *better(l2=1e-2)),
    claim(
        "6.2", "L1 makes many weights exactly zero.",
        scored("500 digits, by its gradient", "zeros", "higher", BASE, replace(BASE, l1=1e-3)),
        scored("500 digits, by proximal steps", "zeros", "higher", BASE, replace(BASE, proximal=1e-3)),
    ),
    claim("6.2", "L2 makes no weight zero.", *on_data("zeros", 0.0, CLEAN, l2=1e-2)),
    claim(
        "6.2", "L1 selects features.",
        fact("patients: columns in use, real ones and permuted ones", "points", "lower", facts.selected),
    ),
    claim(
        "6.2", "With L2, least squares has a closed form.",
        fact("patients: from there to where descent ends", "% of |w|", 0.1, facts.closed_form),
    ),
    claim(
        "6.3", "Scaled by 1 / (1 - p), units give on average what they give without dropout.",
        fact("mean over 10,000 masks", "%", 1.0, facts.mean_over_masks),
    ),
    claim(
        "6.3", "At inference, dropout does nothing.",
        fact("largest difference", "of an output", 0.0, facts.at_inference),
    ),
    claim(
        "6.3", "In training, each pass gives another output.",
        fact("different outputs of 20 passes", "outputs", "higher", facts.passes_differ),
    ),
    claim(
        "6.3", "Dropout trains many networks, and their average is better than one of them.",
        fact("500 digits: loss of one, and of 50 averaged", "nats", "lower", facts.one_and_averaged),
    ),
    claim(
        "6.3", "The whole network stands for that average.",
        fact("500 digits: loss of 50 averaged, and of the whole", "nats", 0.02, facts.averaged_and_whole),
    ),
    claim("6.3", "Dropout keeps units from adapting to each other.", *on_data("correlation", "lower", dropout=HALF)),
    claim(
        "6.3", "Where passes disagree, the answer is uncertain.",
        fact("wrong answers told from right ones, against chance", "points of AUROC", "higher", facts.by_disagreement),
        fact("against the confidence of the whole", "points of AUROC", "higher", facts.better_than_by_confidence),
    ),
    claim("6.3", "Dropout prevents overfitting.", *better(dropout=HALF)),
    *(
        claim(
            "6.3", f"{where}, dropout of {named} is right.",
            *on_data("loss", "lower", **of(right)),
            scored(f"{CLEAN}, {right} against {wrong}: loss", "loss", "lower", replace(BASE, **of(wrong)),
                   replace(BASE, **of(right))),
        )
        for where, named, right, wrong, of in (
            ("On the input", "0.1 to 0.2", 0.15, 0.5, lambda p: {"dropout": (p, 0.0, 0.0)}),
            ("Between hidden layers", "0.3 to 0.5", 0.4, 0.8, lambda p: {"dropout": (0.0, p, 0.0)}),
            ("Before the output", "up to 0.3", 0.2, 0.6, lambda p: {"dropout": (0.0, 0.0, p)}),
        )
    ),
    claim(
        "6.4", "Batch norm makes training faster.",
        *(scored(f"{CLEAN}, rate {rate}: training loss at a twentieth of the steps", "training loss at a twentieth",
                 "lower", replace(BASE, rate=rate), replace(NORMED, rate=rate)) for rate in (0.001, 0.01)),
    ),
    claim(
        "6.4", "Batch norm allows higher learning rates.",
        *both(f"{CLEAN}, rate 0.5", replace(BASE, rate=0.5), replace(NORMED, rate=0.5)),
    ),
    claim("6.4", "Batch norm regularizes.", *better(norm="batch")),
    claim(
        "6.4", "It does so by the noise of batches.",
        *both("batches of 500 and of 50", replace(NORMED, batch=500), NORMED),
    ),
    claim(
        "6.4", "Batch norm makes a network less sensitive to its first weights.",
        Test("accuracy lost where they are four times as large", "points", "lower",
             lambda lab: (lost_by_scale(lab, ""), lost_by_scale(lab, "batch"))),
    ),
    claim(
        "6.4", "Batch norm keeps the distribution of layer inputs steady.",
        fact("8 x 8 digits, 6 layers: movement in an epoch", "% of their spread", "lower", facts.movement),
    ),
    claim(
        "6.4", "It may stand before relu or behind it.",
        scored(f"{CLEAN}: accuracy", "accuracy", 1.0, NORMED, replace(BASE, norm="batch after")),
        scored(f"{CLEAN}: loss", "loss", 0.1, NORMED, replace(BASE, norm="batch after")),
    ),
    claim(
        "6.4", "At inference, an answer does not depend on the other samples.",
        fact("largest difference, alone and in a batch", "of an output", 1e-5, facts.batch_norm_alone),
    ),
    claim(
        "6.5", "Batch norm does not work well with small batches.",
        scored("batches of 50, from layer norm: accuracy", "accuracy", "lower", replace(BASE, norm="layer"), NORMED),
        scored("batches of 2, from layer norm: accuracy", "accuracy", "lower", replace(SMALL, norm="layer"),
               replace(SMALL, norm="batch")),
    ),
    claim(
        "6.5", "Layer norm does not depend on the batch.",
        fact("largest difference, alone and in a batch", "of an output", 1e-5, facts.layer_norm_alone),
    ),
    claim(
        "6.5", "Layer norm suits recurrent networks and Transformers better than batch norm.",
        *(fact(f"columns of digits, {reader}: accuracy", "points", "higher", measure)
          for reader, measure in facts.READING.items()),
    ),
    claim("6.6", "Early stopping prevents overfitting.", *better(patience=100)),
    claim("6.6", "Shorter training leaves smaller weights.", *on_data("norm", "lower", patience=100)),
    claim(
        "6.6", "Early stopping is about what L2 is.",
        fact("patients: least squares stopped early, and ridge", "% of |w|", 10.0, facts.stopped_from_ridge),
        fact("patients: their errors", "% of the variance", 1.0, facts.errors_of_stopped_and_ridge),
    ),
    claim("6.7", "Turning and shifting images helps.", *better(augmentation="geometric")),
    claim("6.7", "Changing brightness and contrast helps.", *better(CLEAN, NOISY, augmentation="colour")),
    claim("6.7", "Noise helps.", *better(CLEAN, NOISY, augmentation="noise")),
    claim("6.7", "Blur helps.", *better(CLEAN, NOISY, augmentation="blur")),
    claim("6.7", "Erasing squares helps.", *better(CLEAN, NOISY, augmentation="erasing")),
    claim(
        "6.7", "Mixup helps.",
        *better(CLEAN, NOISY, augmentation="mixup 0.2"),
        *both(f"{CLEAN}, alpha 1", BASE, replace(BASE, augmentation="mixup 1")),
    ),
    claim("6.7", "CutMix helps.", *better(CLEAN, NOISY, augmentation="CutMix")),
    *(claim("6.7", f"{edit.capitalize()} helps.", fact("240 sentences: accuracy", "points", "higher", measure))
      for edit, measure in facts.EDITING.items()),
    claim(
        "6.8", "Label smoothing prevents overconfidence.",
        *on_data("confidence", "lower", smoothing=0.1), *on_data("calibration", "lower", smoothing=0.1),
    ),
    claim("6.8", "Label smoothing prevents overfitting.", *better(smoothing=0.1)),
    claim(
        "6.8", "A clipped gradient is not longer than the limit.",
        fact("what is beyond it", "of the limit", 1e-6, facts.beyond_the_limit),
    ),
    claim(
        "6.8", "Clipping keeps training from exploding.",
        *(scored(f"{CLEAN}, rate {rate}: training accuracy", "training accuracy", "higher", replace(BASE, rate=rate),
                 replace(BASE, rate=rate, clip=1.0)) for rate in (0.01, 0.3)),
    ),
    claim(
        "6.8", "Spectral normalization bounds the Lipschitz constant of a layer.",
        fact("largest singular value, and 1", "of it", 0.01, facts.largest_singular_value),
    ),
    claim(
        "6.9", "Each rung of the ladder helps, on those below it.",
        *(test for score in ("accuracy", "loss") for test in rungs(score, RUNGS, BASE)),
    ),
    claim(
        "6.9", "Few data need strong regularization.",
        *(test for name in ("augmentation", "dropout 0.3", "early stopping")
          for test in both(f"100 digits, {name}", FEW, replace(FEW, **RUNGS[name]))),
    ),
    claim(
        "6.9", "Much data need less regularization.",
        *(brings_less("augmentation", score, augmentation="geometric") for score in ("accuracy", "loss")),
        *(brings_less("dropout", score, dropout=HALF) for score in ("accuracy", "loss")),
    ),
)  # fmt: skip
