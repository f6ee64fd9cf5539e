"""engine.py ENGINE NETWORK IN OUT WIDTH HEIGHT THREADS: one peer as a process of its own, with the
protocol of bench_net: a line of JSON when ready, then an evaluation and a line for every line on
stdin, and the last result written at the end. IN and OUT are planar float32 RGB."""

import json
import sys
import tempfile
import time

import numpy as np

import models


def torch_engine(name, spec, weights, width, height, threads):
    import torch

    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if "bf16" in name else torch.float32
    layout = torch.channels_last if "channels_last" in name else torch.contiguous_format
    module = models.Module(spec, weights).to(dtype=dtype, memory_format=layout).eval()

    def run(image):
        with torch.inference_mode():
            x = torch.from_numpy(image)[None].to(dtype).contiguous(memory_format=layout)
            return module(x).float().numpy()[0]

    return run, torch.__version__


def openvino_engine(name, spec, weights, width, height, threads):
    import openvino as ov

    core = ov.Core()
    data = models.onnx_model(spec, weights, width, height).SerializeToString()
    model = core.read_model(data, b"")
    precision = "bf16" if "bf16" in name else "f32"
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1})
    request = compiled.create_infer_request()

    def run(image):
        return np.array(next(iter(request.infer({0: image[None]}).values())))[0]

    return run, ov.__version__


def onnxruntime_engine(name, spec, weights, width, height, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(models.onnx_model(spec, weights, width, height).SerializeToString(),
                                   options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"in": image[None]})[0][0], ort.__version__


def ncnn_engine(name, network, threads):
    import ncnn

    folder = tempfile.mkdtemp()
    param, weights, source, target = models.ncnn_files(network, folder)
    net = ncnn.Net()
    bf16 = "bf16" in name
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_bf16_storage = bf16
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, False)
    if net.load_param(param) or net.load_model(weights):
        raise RuntimeError(f"{param}: ncnn cannot load it")

    def run(image):
        extractor = net.create_extractor()
        extractor.input(source, ncnn.Mat(image))
        status, out = extractor.extract(target)
        if status:
            raise RuntimeError(f"ncnn: status {status}")
        return np.array(out)

    return run, ncnn.__version__


def main(engine, network, source, target, width, height, threads):
    width, height, threads = int(width), int(height), int(threads)
    image = np.fromfile(source, np.float32).reshape(3, height, width)
    if engine.startswith("ncnn"):
        run, version = ncnn_engine(engine, network, threads)
    else:
        spec, weights = models.load(network)
        make = {"pytorch": torch_engine, "openvino": openvino_engine, "onnxruntime": onnxruntime_engine}
        run, version = make[engine.split("-")[0]](engine, spec, weights, width, height, threads)
    print(json.dumps({"engine": engine, "version": version}), flush=True)
    out = None
    for _ in sys.stdin:
        start = time.perf_counter()
        out = run(image)
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
    np.clip(out, 0, 1).astype(np.float32).tofile(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
