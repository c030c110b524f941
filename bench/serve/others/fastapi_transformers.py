"""FastAPI and a transformers pipeline, as tutorials have it: a request at a time, no batches. Takes and gives what TEI does.
MODEL MAX_LENGTH PORT"""
import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

model, max_length, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
classify = pipeline("text-classification", model=model, device="cpu")
app = FastAPI()


class Ask(BaseModel):
    inputs: str


@app.post("/predict")
def predict(ask: Ask):
    return classify(ask.inputs, top_k=None, truncation=True, max_length=max_length)


@app.get("/health")
def health():
    return {}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
