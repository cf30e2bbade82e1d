"""JupyterHub for a class: each student has an account, and all share one build cache and one cache of data.

docs/teaching.md says how to start it, .ci/hub tries it. Accounts are those of the machine, with their passwords. At the
first login a student gets a copy of the notebooks, in ~/notebooks; what they leave on disk goes to ~/notebooks/runs.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path
from pwd import getpwnam

c = get_config()  # noqa: F821, which JupyterHub defines

repository = Path(__file__).resolve().parent.parent
programs = repository / ".ctnas" / "hub"
caches = {name: os.environ[name] for name in ("GOCACHE", "GOMODCACHE", "CTNAS_CACHE")}

# Go writes what the students' cells compile into the shared cache, in folders that are there already; nobody can change
# what another has written.
for folder in (Path(caches["GOCACHE"]), *Path(caches["GOCACHE"]).iterdir()):
    if folder.is_dir():
        folder.chmod(stat.S_ISVTX | 0o777)


def home(spawner):
    return Path(getpwnam(spawner.user.name).pw_dir)


# A copy that was cut off is begun again.
COPY = """
import os, shutil, sys
source, notebooks = sys.argv[1:]
part = notebooks + ".part"
if not os.path.exists(notebooks):
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part, ignore=shutil.ignore_patterns("runs", "executed", ".*"))
    os.rename(part, notebooks)
"""


def give_notebooks(spawner):
    """Copies the notebooks into the student's home, once, as the student: who may write there may put a link there."""
    account = getpwnam(spawner.user.name)
    command = [sys.executable, "-I", "-c", COPY, str(repository / "notebooks"), str(home(spawner) / "notebooks")]
    subprocess.run(command, check=True, cwd="/", user=account.pw_uid, group=account.pw_gid, extra_groups=[])


c.JupyterHub.db_url = f"sqlite:///{programs}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(programs / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(programs / "proxy.pid")
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.command = [str(programs / "node_modules" / ".bin" / "configurable-http-proxy")]
c.Spawner.cmd = [str(programs / "bin" / "jupyterhub-singleuser")]
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
