"""A user's network, by ``package.module:function``."""

from torch import nn

from easiness.recipes.custom import first_line, import_function


def custom_model(name: str, num_classes: int) -> nn.Module:
    """Network of a user's function; a ValueError if the call fails, or the result is not a ``torch.nn.Module``."""
    function = import_function(name, "model")
    try:
        model = function(num_classes=num_classes)
    except Exception as error:
        raise ValueError(f"model {name!r} fails with num_classes={num_classes} ({first_line(error)})") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"model {name!r}: returns a {type(model).__name__}, not a torch.nn.Module")
    return model
