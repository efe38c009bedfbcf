"""`python -m gahr`: the version, the devices that JAX finds, and the networks that come with gahr."""

from collections.abc import Iterator


def lines() -> Iterator[str]:
    """What is printed, line by line."""
    import jax

    import gahr
    from gahr import pretrained

    yield f"gahr {gahr.__version__}, jax {jax.__version__}"
    yield f"devices: {', '.join(f'{device.device_kind} ({device.platform})' for device in jax.devices())}"
    yield "networks, for gahr.load(NAME) and weights=NAME:"
    for name in gahr.shipped():
        data, model = (pretrained.describe(name)["run"][section] for section in ("data", "model"))
        options = ", ".join(f"{option}={value}" for option, value in data.items() if option != "name")
        yield f"  {name}: {model['name']} of {model['features']} features for {data['name']} images, {options}"


if __name__ == "__main__":
    print("\n".join(lines()))
