"""From text to functions: LLVM, through llvmlite, which is imported when it is first needed."""

from __future__ import annotations

import ctypes
import functools
import importlib
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import cache, flags

ATTRIBUTES = 'attributes #0 = { noinline nounwind "no-trapping-math"="true" }'
QUICK = 0.1
"""Seconds within which code is compiled that is not worth a file."""
SLOW = 1.0
"""Seconds after which a compilation says that it is under way."""
KIND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
Function = Callable[[int], int]
"""Takes the address of a table, gives the flags that the processor has raised."""


@functools.cache
def binding() -> Any:
    """`llvmlite.binding`, ready for this processor. Raises `ImportError` where it is missing or does not work."""
    try:
        llvm = importlib.import_module("llvmlite.binding")
    except Exception as error:
        raise ImportError(f"llvmlite cannot be imported: {error}") from error
    if not flags.KNOWN:
        raise ImportError(f"processors of the kind {platform.machine()} are not known")
    try:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        engine = Engine(llvm)
        engine.load(engine.compiled("define void @none(ptr %p) {\n  ret void\n}"), ["none"])
    except Exception as error:
        version = getattr(importlib.import_module("llvmlite"), "__version__", "")
        raise ImportError(f"llvmlite {version} does not work here: {error}") from error
    return llvm


@functools.cache
def missing() -> str:
    """Why machine code cannot be made; empty where it can."""
    try:
        binding()
    except ImportError as error:
        return str(error)
    return ""


class Engine:
    """Compiles modules, by `llvmlite.binding`."""

    def __init__(self, llvm: Any) -> None:
        self._llvm = llvm

    def functions(self, text: str, names: Iterable[str], kind: Any = KIND) -> list[Function]:
        """The functions of a module by name; compiled, or from the cache."""
        key = "\n".join([*self._machine(), text])
        code = cache.load(key)
        if code is None:
            start = time.perf_counter()
            code = _announced(lambda: self.compiled(text))
            if time.perf_counter() - start > QUICK:
                cache.save(key, code)
        return self.load(code, names, kind)

    def _machine(self) -> list[str]:
        llvm, package = self._llvm, importlib.import_module("llvmlite")
        version = ".".join(map(str, llvm.llvm_version_info))
        return [package.__version__, version, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]

    def _target(self) -> Any:
        llvm = self._llvm
        features = llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_default_triple()
        return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="pic")

    def compiled(self, text: str) -> bytes:
        """The machine code of a module."""
        llvm, target = self._llvm, self._target()
        module = llvm.parse_assembly(text)
        module.triple, module.data_layout = llvm.get_default_triple(), str(target.target_data)
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = False  # the text says what is done side by side
        builder = llvm.create_pass_builder(target, options)
        builder.getModulePassManager().run(module, builder)
        return bytes(target.emit_object(module))

    def load(self, code: bytes, names: Iterable[str], kind: Any = KIND) -> list[Function]:
        """The functions of machine code."""
        llvm, target = self._llvm, self._target()
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        made = [kind(engine.get_function_address(name)) for name in names]
        for function in made:
            function.engine = engine  # which holds the code
        return made


def _announced(work: Callable[[], bytes]) -> bytes:
    """Do something, and say so where it takes long."""
    timer = threading.Timer(SLOW, lambda: print("capture: compiling the program ...", file=sys.stderr, flush=True))  # noqa: T201
    timer.daemon = True
    timer.start()
    try:
        return work()
    finally:
        timer.cancel()
