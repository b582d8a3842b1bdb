"""One adapter per inference engine: load an ONNX file, run a batch.

``Adapter.prepare(model)`` converts the file where an engine has a format of its own; the result lies
beside the ONNX file. ``Adapter(model, threads, **options)`` loads; ``run(x)`` takes a float32 NCHW
batch and gives the first output as an array. ``batches_per_run`` says how many copies of the batch
one ``run`` works on. Engines are imported when used.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import baseline
import numpy as np
from networks import with_batch
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Adapter:
    """What the adapters share."""

    module: str
    batches_per_run = 1

    @staticmethod
    def prepare(model: Path) -> None:
        """Converts ``model``; here: nothing to do."""

    def __init__(self, model: Path, threads: int) -> None:
        raise NotImplementedError

    def run(self, x: Array) -> Array:
        raise NotImplementedError


class Xcos(Adapter):
    """The engine of this repository, or of another built ``checkout`` of it: each process imports one of the two."""

    module = "xcos"

    @staticmethod
    def prepare(model: Path) -> None:
        from xcos import Network

        Network.from_onnx(model).file.write(model.with_suffix(".safetensors"))

    def __init__(self, model: Path, threads: int, checkout: Path | None = None) -> None:
        if checkout is not None:
            sys.path.insert(0, str(checkout))
        from xcos import Network, __file__

        if checkout is not None and not Path(__file__).is_relative_to(checkout):
            raise RuntimeError(f"{checkout}: expected a checkout with a built xcos, imported {__file__}")
        # Another version may write other files, so it reads the graph.
        self.net = Network.from_onnx(model) if checkout else Network.load(model.with_suffix(".safetensors"))
        self.threads = threads

    def run(self, x: Array) -> Array:
        return next(iter(self.net.run(x, threads=self.threads).values()))


class OnnxRuntime(Adapter):
    """ONNX Runtime: all graph optimisations, subnormals flushed. ``held``: a folder of ``baseline.held``."""

    module = "onnxruntime"

    def __init__(self, model: Path, threads: int, held: Path | None = None) -> None:
        if held is not None:
            baseline.hold(held)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def run(self, x: Array) -> Array:
        return self.session.run(None, {self.input: x})[0]


class OpenVino(Adapter):
    """OpenVINO. ``precision="f32"`` must be asked for: on processors with bf16 the default is bf16.

    ``streams`` > 1 runs that many batches at once, each on its share of the threads.
    """

    module = "openvino"

    def __init__(self, model: Path, threads: int, precision: str | None = "f32", streams: int = 1) -> None:
        import openvino

        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "CPU_DENORMALS_OPTIMIZATION": True,
        }
        if precision is not None:
            config["INFERENCE_PRECISION_HINT"] = precision
        compiled = openvino.Core().compile_model(model, "CPU", config)
        self.requests = [compiled.create_infer_request() for _ in range(streams)]
        self.batches_per_run = streams

    def run(self, x: Array) -> Array:
        if len(self.requests) == 1:
            return self.requests[0].infer([x], share_inputs=True)[0]
        for request in self.requests:
            request.start_async([x], share_inputs=True)
        for request in self.requests:
            request.wait()
        return self.requests[-1].results[0]


class Ncnn(Adapter):
    """ncnn, one image after another, since its networks take one. ``fp32`` turns off half-precision storage,
    which is on by default."""

    module = "ncnn"

    @staticmethod
    def prepare(model: Path) -> None:
        """PNNX, ncnn's own converter, on the network for one image."""
        if model.with_suffix(".ncnn.param").exists():
            return
        import onnx
        import pnnx

        graph = onnx.load(model)
        shape = [dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim]
        if shape[0] != 1:
            graph, shape[0] = with_batch(graph, 1), 1
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "net.onnx")
            onnx.save(graph, source)
            command = [pnnx.EXEC_PATH, source, "fp16=0", f"inputshape={shape}".replace(" ", "")]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            for suffix in (".ncnn.bin", ".ncnn.param"):  # the one that is looked for comes last
                shutil.move(source.with_suffix(suffix), model.with_suffix(suffix))

    def __init__(self, model: Path, threads: int, fp32: bool = True) -> None:
        import ncnn

        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        if fp32:
            for name in dir(self.net.opt):
                if name.startswith(("use_fp16", "use_bf16")):
                    setattr(self.net.opt, name, False)
        self.net.load_param(str(model.with_suffix(".ncnn.param")))
        self.net.load_model(str(model.with_suffix(".ncnn.bin")))
        self.mat = ncnn.Mat
        self.input, self.output = self.net.input_names()[0], self.net.output_names()[0]

    def run(self, x: Array) -> Array:
        outputs = []
        for image in x:
            with self.net.create_extractor() as extractor:
                extractor.input(self.input, self.mat(image))
                outputs.append(np.array(extractor.extract(self.output)[1]))
        return np.stack(outputs)


class Mnn(Adapter):
    """MNN's sessions. Its higher precisions are the same here: fp32 weights, arithmetic in fp32."""

    module = "MNN"

    @staticmethod
    def prepare(model: Path) -> None:
        """MNN's converter, called below its command line, which installs a package and reports home."""
        target = model.with_suffix(".mnn")
        if target.exists():
            return
        with silenced():
            import _tools
            import MNN  # noqa: F401 - greets when it is loaded

            part = target.with_suffix(".part")
            arguments = ["-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(part)]
            _tools.mnnconvert(["mnnconvert", *arguments, "--bizCode", "xcos"])
        part.rename(target)

    def __init__(self, model: Path, threads: int) -> None:
        with silenced():
            import MNN

            self.mnn = MNN
            self.net = MNN.Interpreter(str(model.with_suffix(".mnn")))
            config = {"backend": "CPU", "precision": "high", "numThread": threads}
            self.session = self.net.createSession(config)
        self.input = self.net.getSessionInput(self.session)
        self.output = self.net.getSessionOutput(self.session)

    def tensor(self, array: Array) -> Any:
        nchw = self.mnn.Tensor_DimensionType_Caffe
        return self.mnn.Tensor(array.shape, self.mnn.Halide_Type_Float, array, nchw)

    def run(self, x: Array) -> Array:
        self.input.copyFrom(self.tensor(x))
        self.net.runSession(self.session)
        host = self.tensor(np.empty(self.output.getShape(), np.float32))
        self.output.copyToHostTensor(host)
        return np.array(host.getNumpyData())


class Torch(Adapter):
    """PyTorch: the graph as a frozen, fused TorchScript (oneDNN), channels last, inference mode."""

    module = "torch"

    def __init__(self, model: Path, threads: int) -> None:
        import onnx
        import torch
        from onnx_torch import Graph

        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        graph = Graph(onnx.load(model)).eval().to(memory_format=torch.channels_last)
        example = torch.zeros(graph.input_shape).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            traced = torch.jit.freeze(torch.jit.trace(graph, example))
            self.net = torch.jit.optimize_for_inference(traced)

    def run(self, x: Array) -> Array:
        with self.torch.inference_mode():
            value = self.torch.from_numpy(x).contiguous(memory_format=self.torch.channels_last)
            return self.net(value).numpy()


class OpenCv(Adapter):
    """OpenCV's dnn module; ``classic`` takes the engine of OpenCV 4."""

    module = "cv2"

    def __init__(self, model: Path, threads: int, classic: bool = False) -> None:
        import cv2

        cv2.setNumThreads(threads)
        engine = cv2.dnn.ENGINE_CLASSIC if classic else cv2.dnn.ENGINE_AUTO
        self.net = cv2.dnn.readNetFromONNX(str(model), engine)

    def run(self, x: Array) -> Array:
        self.net.setInput(x)
        return self.net.forward()


@dataclass(frozen=True)
class Setting:
    """An engine as it takes part: adapter, options, and in how many processes at once.

    ``batches_only``: pointless for one image. ``reduced``: stores or computes in less than fp32, so it
    is timed for information and never counts as the fastest peer.
    """

    adapter: type[Adapter]
    options: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    batches_only: bool = False
    reduced: bool = False

    def fits(self, batch: int, threads: int) -> bool:
        """Whether this setting makes sense for that many images and threads."""
        at_once = self.processes * self.options.get("streams", 1)
        return at_once <= threads and (batch > 1 or not self.batches_only)

    def version(self) -> str | None:
        """Version of the installed package, None where there is none."""
        module = self.adapter.module
        if importlib.util.find_spec(module) is None:
            return None
        packages = importlib.metadata.packages_distributions().get(module)
        return importlib.metadata.version(packages[0]) if packages else "in place"


OURS = "xcos"
BEFORE = "xcos before"  # with --against
REFERENCE = "ONNX Runtime"
HELD = (OURS, BEFORE, REFERENCE, "PyTorch", "OpenCV", "OpenCV, classic")  # that can be held to SSE4.2
SETTINGS = {
    OURS: Setting(Xcos),
    "OpenVINO": Setting(OpenVino),
    "OpenVINO, 2 streams": Setting(OpenVino, {"streams": 2}, batches_only=True),
    "OpenVINO, its default precision": Setting(OpenVino, {"precision": None}, reduced=True),
    "ncnn": Setting(Ncnn),
    "ncnn, 2 processes": Setting(Ncnn, processes=2, batches_only=True),
    "ncnn, its default precision": Setting(Ncnn, {"fp32": False}, reduced=True),
    "MNN": Setting(Mnn),
    "MNN, 2 processes": Setting(Mnn, processes=2, batches_only=True),
    REFERENCE: Setting(OnnxRuntime),
    "PyTorch": Setting(Torch),
    "OpenCV": Setting(OpenCv),
    "OpenCV, classic": Setting(OpenCv, {"classic": True}),
}


def compare_with(checkout: Path) -> None:
    """Lets the engine of another checkout take part."""
    SETTINGS[BEFORE] = Setting(Xcos, {"checkout": checkout.resolve()})


def hold_back(cache: Path) -> None:
    """Holds the engines ``HELD`` to SSE4.2, in processes that are started from now on."""
    os.environ.update(baseline.VARIABLES)
    cache.mkdir(parents=True, exist_ok=True)
    SETTINGS[REFERENCE] = Setting(OnnxRuntime, {"held": baseline.held(OnnxRuntime.module, cache.resolve())})


@contextlib.contextmanager
def silenced():
    """Standard output of native code goes nowhere meanwhile: MNN greets and reports there."""
    sys.stdout.flush()
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)
