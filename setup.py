"""Builds the compiled operations; everything else about the package stands in pyproject.toml.

``AVLOC_BUILD_EXTENSION=0`` skips them: avloc then runs its reference operations in plain torch, says so once
in the log, and every result document names it.
"""

import os
from pathlib import Path

from setuptools import find_packages, setup


def compiled() -> dict:
    """Return the arguments of ``setup`` that build the extension, or none when the environment skips it."""
    if os.environ.get("AVLOC_BUILD_EXTENSION", "1") == "0":
        return {}
    # Imported here: a build without the extension needs no torch.
    from torch.utils.cpp_extension import BuildExtension, CppExtension

    # csrc/ops_cpu binds the kernels of csrc/cpu.
    sources = sorted(path.as_posix() for path in Path("csrc").glob("*cpu/*.cpp"))
    headers = sorted(path.as_posix() for path in Path("csrc").rglob("*.h"))
    flags = ["-O3", "-std=c++17", "-fvisibility=hidden", "-ffp-contract=off", "-g0"]
    # Nothing here tells 0.0 from -0.0 or asks which operation was inexact, and so loops become vectors.
    flags += ["-fno-signed-zeros", "-fno-trapping-math"]
    extension = CppExtension(
        name="avloc.ops._kernels_cpu",
        sources=sources,
        depends=headers,
        include_dirs=[str(Path(folder).resolve()) for folder in ("csrc", "csrc/include")],
        # The stable ABI of torch 2.11: one library serves every torch from 2.11 on, and any Python.
        define_macros=[("TORCH_TARGET_VERSION", "0x020b000000000000")],
        # Fused multiply-adds would round differently from the reference, and ties would break differently.
        extra_compile_args=["/O2", "/std:c++17"] if os.name == "nt" else flags,
        py_limited_api=True,
    )
    return {
        "ext_modules": [extension],
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
