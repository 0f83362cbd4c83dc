"""Builds the compiled operations; everything else about the package stands in pyproject.toml.

``AVLOC_BUILD_EXTENSION=0`` skips them: avloc then runs its reference operations in plain torch, says so once
in the log, and every result document names it. The CUDA kernels, a library of their own, are built where
torch is a CUDA one and a CUDA toolkit is found; ``AVLOC_BUILD_CUDA=0`` skips those alone.
"""

import os
from pathlib import Path

from setuptools import find_packages, setup

# The stable ABI of torch 2.11: one library serves every torch from 2.11 on, and any Python.
STABLE_ABI = ("TORCH_TARGET_VERSION", "0x020b000000000000")
# Fused multiply-adds would round differently from the reference, and ties would break differently.
FLAGS = ["-O3", "-std=c++17", "-fvisibility=hidden", "-ffp-contract=off", "-g0"]
NVCC_FLAGS = ["-O3", "-std=c++17", "--fmad=false"]


def sources(*patterns: str) -> list[str]:
    """Return the files of csrc that match one of the patterns."""
    return sorted(path.as_posix() for pattern in patterns for path in Path("csrc").glob(pattern))


def has_cuda_compiler() -> bool:
    """Tell whether torch's search for a CUDA toolkit found one with a compiler, on a system it is used on."""
    from torch.utils.cpp_extension import CUDA_HOME

    return os.name != "nt" and CUDA_HOME is not None and Path(CUDA_HOME, "bin", "nvcc").is_file()


def compiled() -> dict:
    """Return the arguments of ``setup`` that build the libraries, or none when the environment skips them."""
    if os.environ.get("AVLOC_BUILD_EXTENSION", "1") == "0":
        return {}
    # Imported here: a build without the extension needs no torch.
    import torch
    from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension

    common = {
        "depends": sources("**/*.h"),
        "include_dirs": [str(Path(folder).resolve()) for folder in ("csrc", "csrc/include")],
        "py_limited_api": True,
    }
    # Nothing on the CPU tells 0.0 from -0.0 or asks which operation was inexact, and so loops become vectors.
    flags = [*FLAGS, "-fno-signed-zeros", "-fno-trapping-math"]
    extensions = [
        CppExtension(
            name="avloc.ops._kernels_cpu",
            sources=sources("cpu/*.cpp", "ops_cpu/*.cpp"),
            define_macros=[STABLE_ABI],
            extra_compile_args=["/O2", "/std:c++17"] if os.name == "nt" else flags,
            **common,
        )
    ]
    if torch.version.cuda and has_cuda_compiler() and os.environ.get("AVLOC_BUILD_CUDA", "1") != "0":
        if torch.cuda.device_count() == 0:  # torch cannot tell for which devices to build
            os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "8.0;9.0+PTX")
        extensions.append(
            CUDAExtension(
                name="avloc.ops._kernels_cuda",
                sources=sources("cuda/*.cu", "ops_cuda/*.cpp"),
                define_macros=[STABLE_ABI, ("USE_CUDA", None)],
                extra_compile_args={"cxx": FLAGS, "nvcc": NVCC_FLAGS},
                **common,
            )
        )
    return {
        "ext_modules": extensions,
        "cmdclass": {"build_ext": BuildExtension.with_options(use_ninja=False)},
        "options": {"bdist_wheel": {"py_limited_api": "cp311"}},
    }


configs = ["avloc.configs", *(f"avloc.configs.{name}" for name in find_packages("configs"))]
setup(
    packages=[*find_packages(include=["avloc", "avloc.*"]), *configs],
    package_dir={"avloc": "avloc", "avloc.configs": "configs"},
    package_data={"avloc": ["models/weights/data/*.safetensors", "**/*.json", "**/*.yaml"]},
    **compiled(),
)
