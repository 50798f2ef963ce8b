"""A small U-Net with a second head: which pixels are air beside a lung, and is there any in this image?"""

from itertools import pairwise

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from xray import find_images, join_masks, read_pixels

from kagkit.training import Plan, fit, save_weights


def prepare(task, rows):
    """Decode every image once; all folds and seeds read this file."""
    files = find_images(task.data["main"].files)
    images = {image: torch.from_numpy(read_pixels(files[image])) for image in rows.index}
    save_file(images, task.out / "images.safetensors")


class Augmented:
    """Images with their masks, moved and made noisy: torch is seeded anew for each image and epoch."""

    def __init__(self, rows, images):
        self.keys, self.rows, self.images = rows.index, rows, images

    def read(self, key):
        """An image, its mask, and whether there is one."""
        mask = torch.tensor(join_masks(self.rows.at[key, "EncodedPixels"]), dtype=torch.float32)
        image, mask = move(torch.stack([self.images[key], mask]))
        light = image * torch.empty(()).uniform_(0.9, 1.1) + 0.03 * torch.randn(image.shape)
        return light[None], mask[None].round(), float(self.rows.at[key, "has_mask"])


def move(layers):
    """Flip, scale and shift an image and its mask alike; what comes in at the edges is the nearest pixel."""
    size, across, down = torch.empty(3).uniform_(-0.1, 0.1).tolist()
    flip = 1 if torch.rand(()) < 0.5 else -1
    where = torch.tensor([[[flip * (1 + size), 0, across], [0, 1 + size, down]]])
    grid = functional.affine_grid(where, [1, *layers.shape], align_corners=False)
    return functional.grid_sample(layers[None], grid, padding_mode="border", align_corners=False)[0]


def block(*channels):
    layers = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """From light (n, 1, height, width) to logits; height and width are multiples of 4."""

    def __init__(self, width):
        super().__init__()
        self.fine, self.middle = block(1, width), block(width, 2 * width, 2 * width)
        self.coarse = block(2 * width, 4 * width, 4 * width)
        self.back, self.out = block(6 * width, 2 * width), block(3 * width, width)
        self.pixel, self.whole = nn.Conv2d(width, 1, 1), nn.Linear(4 * width + 1, 1)

    def forward(self, light):
        """The logits of the pixels (n, 1, height, width), and of the images (n,)."""
        fine = self.fine(light)
        middle = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.coarse(functional.max_pool2d(middle, 2))
        back = self.back(torch.cat([double(coarse), middle], dim=1))
        pixels = self.pixel(self.out(torch.cat([double(back), fine], dim=1)))
        # The image's score sees what the pixels say too, averaged over its surest ones.
        surest = pixels.flatten(1).topk(20).values.mean(dim=1, keepdim=True)
        return pixels, self.whole(torch.cat([coarse.amax(dim=(2, 3)), surest], dim=1)).squeeze(1)


def double(features):
    return features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def loss(model, batch):
    light, mask, present = batch
    pixels, whole = model(light)
    chances = pixels.sigmoid()
    shared, total = (chances * mask).sum(), (chances + mask).sum()
    of_pixels = functional.binary_cross_entropy_with_logits(pixels, mask)
    of_images = functional.binary_cross_entropy_with_logits(whole, present.float())
    return 3 * of_pixels + 1 - 2 * shared / (total + 1) + 0.5 * of_images


def train(task, *, width=8, epochs=14, batch=16, lr=6e-3, best=3):
    rows, held_out = task.train_rows, task.valid_rows
    images = load_file(task.prepared[task.part] / "images.safetensors")

    def validate(model):
        if not len(held_out):
            return {}
        light = torch.stack([images[image] for image in held_out.index])[:, None]
        masks = np.stack([join_masks(cells) for cells in held_out["EncodedPixels"]])[:, None]
        present = torch.tensor(held_out["has_mask"].to_numpy(float))
        return {"valid_loss": loss(model, (light, torch.tensor(masks, dtype=torch.float32), present))}

    judged = {"monitor": "valid_loss", "greater_is_better": False, "best": best} if len(held_out) else {}
    plan = Plan(
        epochs=epochs,
        batch_size=batch,
        lr=lr,
        warmup=0.1,
        ema=0.97,
        validate=validate,
        recompute_batchnorm=True,
        checkpoint_seconds=2,
        **judged,
    )
    model = UNet(width)  # its first weights depend on task.seed alone: kagkit has seeded torch
    fit(task, model, Augmented(rows, images), loss, plan)
    save_weights(model, task.out / "model.safetensors")


def load(task, *, width=8):
    model = UNet(width)
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model.eval()


def predict(task, model, rows, *, flips=True, batch=32):
    images = load_file(task.prepared[task.part] / "images.safetensors")
    for start in range(0, len(rows), batch):
        keys = rows.index[start : start + batch]
        light = torch.stack([images[key] for key in keys])[:, None]
        with torch.inference_mode():
            pixels, whole = [logits.sigmoid() for logits in model(light)]
            if flips:
                mirrored, again = [logits.sigmoid() for logits in model(light.flip(3))]
                pixels, whole = (pixels + mirrored.flip(3)) / 2, (whole + again) / 2
        yield keys, {"mask": pixels[:, 0].numpy(), "has_mask": whole.numpy()}
