"""Which precision a device computes in."""

from __future__ import annotations


def native_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware; where it is emulated, it is slower than float32.

    Args:
        device: as torch names it, such as "cpu" or "cuda:0".
    """
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not device.startswith("cpu") or not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.10
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
