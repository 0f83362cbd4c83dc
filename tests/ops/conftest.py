from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def torch_names_its_compile_cache_before_any_test() -> Iterator[None]:
    """torch.compile and opcheck set TORCHINDUCTOR_CACHE_DIR when first used; that is no test's own doing."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    cache_dir()
    yield
