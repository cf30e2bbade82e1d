"""JupyterHub for a class: each student has an account, all share one build and one cache of data. Not yet tried with users.

    pip install jupyterhub jupyterlab            # with a Python that all accounts may run
    npm install -g configurable-http-proxy
    export GOCACHE=/srv/class/go-build GOMODCACHE=/srv/class/go-mod CTNAS_CACHE=/srv/class/ctnas
    cd /srv/ctnas && go run ./kernel-setup install   # once, before the lesson, as root
    jupyterhub -f /srv/ctnas/hub/jupyterhub_config.py

The three folders are those of the environment of JupyterHub; CTNAS_DATA is passed on, too. Nothing is downloaded in the
lesson. At the first login a student gets a copy of the notebooks, in ~/notebooks; what they leave on disk goes to
~/notebooks/runs. Accounts are those of the machine, with their passwords.
"""

import os
import shutil
import stat
from pathlib import Path
from pwd import getpwnam

c = get_config()  # noqa: F821, which JupyterHub defines

repository = Path(__file__).resolve().parent.parent
caches = {name: os.environ[name] for name in ("GOCACHE", "GOMODCACHE", "CTNAS_CACHE")}

# Go writes what the students' cells compile into the shared cache, in folders that are there already; nobody can change
# what another has written.
for folder in (Path(caches["GOCACHE"]), *Path(caches["GOCACHE"]).iterdir()):
    if folder.is_dir():
        folder.chmod(stat.S_ISVTX | 0o777)


def home(spawner):
    return Path(getpwnam(spawner.user.name).pw_dir)


def give_notebooks(spawner):
    """Copies the notebooks into the student's home, once."""
    notebooks, account = home(spawner) / "notebooks", getpwnam(spawner.user.name)
    if notebooks.exists():
        return
    shutil.copytree(repository / "notebooks", notebooks, ignore=shutil.ignore_patterns("runs", "executed", ".*"))
    for path in (notebooks, *notebooks.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)


c.Authenticator.allow_all = True
c.Spawner.pre_spawn_hook = give_notebooks
c.Spawner.default_url = "/lab/tree/notebooks"
c.Spawner.args = ["--MultiKernelManager.default_kernel_name=ctnas"]
c.Spawner.env_keep = ["PATH", "LANG", "CTNAS_DATA", "GOMLX_BACKEND"]
c.Spawner.environment = caches | {
    "JUPYTER_PATH": str(repository / ".ctnas" / "jupyter"),
    "JUPYTER_CONFIG_PATH": str(repository / ".ctnas" / "jupyter" / "defaults"),
    "CTNAS_RUNS": lambda spawner: str(home(spawner) / "notebooks" / "runs"),
    "GOPROXY": "off",  # Nothing is fetched in the lesson.
    "PJRT_PLUGIN_LIBRARY_PATH": str(repository / ".ctnas" / "xla"),
    "GOMLX_NO_AUTO_INSTALL": "1",
}
