"""Pack a folder of images for `dataset=imagenet`."""

from easiness import prepare
from easiness.commandline import command

if __name__ == "__main__":
    command(prepare)
