"""Store in a file: made whole or not at all, and recognised where it is broken."""

import functools
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from easiness.files import own_folder
from easiness.tracking.errors import TrackingError


@functools.lru_cache
def open_store(address: str) -> None:
    """Make the store of a `sqlite:` address if it is not there, or check it; once in a process.

    TrackingError names a store that was cut off while another program made it, or whose file is damaged.
    """
    parts = urlsplit(address)
    if parts.scheme != "sqlite" or parts.path in ("", "/"):
        return
    path = Path(unquote(parts.path[1:]))
    if not path.parent.is_dir():
        raise TrackingError(f"the folder of the store {path} is not there; make it, or set MLFLOW_TRACKING_URI")
    if path.exists():
        _check(path)
    else:
        _make(path)


def _make(path: Path) -> None:
    """Make the tables under another name: a process that is killed half-way leaves a store that nobody can mend."""
    with own_folder(path.parent, ".store") as folder:
        fresh = folder / path.name
        logging.disable(logging.INFO)
        try:
            SqlAlchemyStore(f"sqlite:///{fresh}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        finally:
            logging.disable(logging.NOTSET)
        try:
            os.link(fresh, path)  # where a rename would replace the store of a process that was faster
        except FileExistsError:
            return
        except OSError:  # a file system without links
            fresh.rename(path)


def _check(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "runs" in tables and database.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
                return
            versions = set()
            if "alembic_version" in tables:
                versions = {version for (version,) in database.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.OperationalError:  # locked, or not to be read: MLflow will say so
        return
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"the store {path} is damaged ({error}); bring it back from a copy, or move it away and begin a new one"
        ) from None
    if versions != {_get_latest_schema_revision()}:
        raise TrackingError(
            f"the store {path} was cut off while it was made, and holds no runs; unless another program is making it "
            f"now, rm '{path}'*, and the same command makes it anew"
        )
