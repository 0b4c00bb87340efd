from collections.abc import AsyncIterator

import pytest

from infra.embedded.postgres import APP
from infra.postgres.app_role import admit
from infra.postgres.migrate import migrate
from infra.postgres.supabase_layout import SUPABASE
from tests.api.conftest import api, client, real_stores, running_api
from tests.isolation.ground import Ground, prepared
from tests.isolation.owners import BOUND_OWNER, SUPABASE_OWNER, Cluster, cluster
from tests.isolation.pushing import push

__all__ = ["api", "client", "real_stores", "running_api"]


@pytest.fixture(scope="session")
async def bare() -> AsyncIterator[Cluster]:
    """A server with a project's roles and nothing of ours."""
    async with cluster() as made:
        yield made


@pytest.fixture(scope="session")
async def project(bare: Cluster) -> str:
    """A database like a Supabase project's, to which Supabase's command line has pushed our migrations."""
    await bare.make_database("project", SUPABASE_OWNER)
    async with bare.open(SUPABASE_OWNER, "project") as owner:
        assert await push(owner, SUPABASE)
        assert await admit(owner, bare.dsn(APP, "project"))
    return "project"


@pytest.fixture(scope="session")
async def bound(bare: Cluster, project: str) -> str:
    """A database whose owner row-level security binds as anybody else."""
    await bare.make_database("bound", BOUND_OWNER)
    async with bare.open(BOUND_OWNER, "bound") as owner:
        assert await migrate(owner)
    return "bound"


@pytest.fixture(scope="session")
async def grounds(bare: Cluster, project: str, bound: str) -> dict[str, Ground]:
    """Two tenants in a database of either owner."""
    return {database: await prepared(bare, database) for database in (project, bound)}


@pytest.fixture(scope="session", params=["project", "bound"])
def ground(grounds: dict[str, Ground], request: pytest.FixtureRequest) -> Ground:
    """The one, then the other."""
    return grounds[request.param]
