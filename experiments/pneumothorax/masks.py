"""Make masks of probabilities: is there anything in an image, and how far does it reach?"""

import numpy as np
from xray import SHAPE, to_lines


def make_submission(predictions, rows, *, present=0.5, top=0.7, area=10, bottom=0.5):
    """Three numbers decide on the pixels, as with the competition's winner, and one on the image.

    An image has a mask where its score is at least `present` and more than `area` pixels are above `top`;
    the mask is all pixels above `bottom`.
    """
    masks = {}
    for images, part in predictions.iterate():  # a few megabytes at a time
        chances, scores = part.array("mask"), part.array("has_mask")
        for image, chance, score in zip(images, chances, scores, strict=True):
            shown = score >= present and (chance > top).sum() > area
            masks[image] = (chance > bottom) & shown
    return to_lines(masks)


def call_empty(predictions, rows, *, present=0.5):
    """An empty mask where the score is below `present`, else a single pixel, which is right nowhere."""
    masks = {}
    for images, part in predictions.iterate():
        for image, score in zip(images, part.array("has_mask"), strict=True):
            masks[image] = np.zeros(SHAPE, bool)
            masks[image][0, 0] = score >= present
    return to_lines(masks)
