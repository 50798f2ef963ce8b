"""A small convolutional network: unlike the trees it knows which pixels are neighbours."""

import math

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn


def images(rows):
    pixels = rows.filter(like="pixel").to_numpy("float32") / 16  # 0 is paper, 1 is ink
    return torch.from_numpy(pixels).reshape(-1, 1, 8, 8)


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def network(width):
    return nn.Sequential(
        block(1, width),
        block(width, width),
        nn.MaxPool2d(2),
        block(width, 2 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * width, 10),
    )


def probabilities(model, rows):
    model.eval()
    with torch.inference_mode():
        return model(images(rows)).softmax(dim=1).numpy()


def train(task, *, width=32, epochs=12, batch=64, lr=3e-3):
    inputs, labels = images(task.train_rows), torch.tensor(task.train_rows["Label"].to_numpy())
    model = network(width)  # its first weights depend on task.seed alone: kagkit has seeded torch
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
        if len(task.valid_rows):  # none are held out with `fit: full`
            guesses = probabilities(model, task.valid_rows).argmax(axis=1)
            task.log(step=epoch, valid_accuracy=(guesses == task.valid_rows["Label"]).mean())
        task.progress(epoch + 1, epochs)

    save_file(model.state_dict(), task.out / "model.safetensors")


def load(task, *, width=32):
    model = network(width)
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model


def predict(task, model, rows):
    # One column per class, named by it: kagkit averages them over the folds and submits the largest.
    return pd.DataFrame(probabilities(model, rows), index=rows.index, columns=range(10))
