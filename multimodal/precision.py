"""The devices of torch: whether a name is that of one, and which precision it computes in."""

from __future__ import annotations

from reprlib import repr as shown

from multimodal.checks import check_text


def check_device(device: str | None, *, error: type[ValueError] = ValueError) -> None:
    """Check that there is a device.

    Args:
        device: as torch names it, such as "cpu" or "cuda:0"; None is always accepted.
        error: what to raise.

    Raises:
        ValueError: it is not the name of a device, or this machine has no such device.
    """
    if device is None:
        return
    check_text("device", device, error=error)
    import torch

    try:
        torch.empty(1, device=device).cpu()
    except Exception as problem:  # which kind depends on the device
        raise error(
            f"device must be one that this machine has, such as 'cpu' or 'cuda:0', got {shown(device)}"
        ) from problem


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
