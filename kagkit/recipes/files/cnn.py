"""A small convolutional network (torch) on square grey images that are told as a column a pixel."""

import json
import math

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

TARGETS = ["target"]  # the column with the class
PIXELS = "pixel"  # what the pixels' columns are called, in the order of the image's lines
BRIGHTEST = 255  # the largest value of a pixel
CLASS_COLUMN = "{}"  # how the submission names the column of a class


def images(rows):
    pixels = rows.filter(like=PIXELS).to_numpy("float32") / BRIGHTEST
    side = math.isqrt(pixels.shape[1])
    return torch.from_numpy(pixels).reshape(-1, 1, side, side)


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def network(width, classes):
    return nn.Sequential(
        block(1, width),
        block(width, width),
        nn.MaxPool2d(2),
        block(width, 2 * width),
        block(2 * width, 2 * width),
        nn.AdaptiveMaxPool2d(2),  # whatever the images' size
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * width, classes),
    )


def probabilities(model, rows):
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(part).softmax(dim=1) for part in images(rows).split(1024)]).numpy()


def train(task, *, width=32, epochs=12, batch=64, lr=3e-3):
    rows, held_out, target = task.train_rows, task.valid_rows, TARGETS[0]
    classes = sorted({*rows[target], *held_out[target]})
    inputs, labels = images(rows), torch.tensor([classes.index(label) for label in rows[target]])
    model = network(width, len(classes))  # its first weights depend on task.seed alone: torch is seeded
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    steps = math.ceil(len(inputs) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs=epochs, steps_per_epoch=steps)
    # A generator of its own: another dropout layer does not change the order of the images.
    shuffling = torch.Generator().manual_seed(task.seed)

    for epoch in range(epochs):
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(inputs), generator=shuffling).split(batch):
            loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        task.log(step=epoch, train_loss=total / len(inputs))
        if len(held_out):  # none are with `fit: full`
            guesses = [classes[place] for place in probabilities(model, held_out).argmax(axis=1)]
            task.log(step=epoch, valid_accuracy=(held_out[target] == guesses).mean())
        task.progress(epoch + 1, epochs)

    save_file(model.state_dict(), task.out / "model.safetensors")
    (task.out / "classes.json").write_text(json.dumps(classes))


def load(task, *, width=32):
    classes = json.loads((task.weights / "classes.json").read_text())
    model = network(width, len(classes))
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model, classes


def predict(task, model, rows):
    trained, classes = model
    columns = [CLASS_COLUMN.format(label) for label in classes]
    return pd.DataFrame(probabilities(trained, rows), rows.index, columns)
