"""A transformers pipeline behind Triton's batcher, by PyTriton: MODEL MAX_LENGTH PORT"""
import sys

import numpy
import torch
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from transformers import pipeline

model, max_length, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
classify = pipeline("text-classification", model=model, device="cpu")


@batch
def infer(text):
    texts = [row[0].decode() for row in text]
    answers = classify(texts, batch_size=len(texts), truncation=True, max_length=max_length)
    return {"label": numpy.array([[answer["label"].encode()] for answer in answers], dtype=object)}


with Triton(config=TritonConfig(http_address="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2)) as triton:
    triton.bind(model_name="classifier", infer_func=infer, inputs=[Tensor(name="text", dtype=bytes, shape=(1,))],
                outputs=[Tensor(name="label", dtype=bytes, shape=(1,))],
                config=ModelConfig(max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=0)))
    triton.serve()
