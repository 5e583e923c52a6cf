import json

account = json.dumps({"email": "test@example.com", "password": "Pass123!"})


def post(path: str) -> str:
    return machine.succeed(
        f"curl -fsS http://localhost{path} -H 'Content-Type: application/json' -d '{account}'"
    )


def me() -> str:
    return f"curl -fsS http://localhost/auth/me -H 'Authorization: Bearer {token}'"


start_all()
machine.wait_for_unit("warp-skeleton-1.service")
machine.wait_for_unit("warp-skeleton-2.service")
machine.wait_for_unit("nginx.service")
machine.wait_until_succeeds("curl -fsS http://127.0.0.1:8000/ready")
machine.wait_until_succeeds("curl -fsS http://127.0.0.1:8001/ready")

with subtest("a person registers, signs in, and is known to both replicas"):
    assert json.loads(post("/auth/register"))["role"] == "VIEWER"
    token = json.loads(post("/auth/token"))["access_token"]
    for port in [80, 8000, 8001]:
        address = me().replace("localhost", f"localhost:{port}")
        assert json.loads(machine.succeed(address))["email"] == "test@example.com"

with subtest("the units are confined and have no password to the database"):
    assert machine.succeed("systemctl show -P DynamicUser warp-skeleton-1").strip() == "yes"
    machine.fail("systemctl show -P Environment warp-skeleton-1 | grep -q DB_PASSWORD")
    machine.fail("curl -fsS http://localhost/metrics")

with subtest("the service has data access only, and migrations a role of their own"):
    psql = "runuser -u postgres -- psql -At -d warp-skeleton -c "
    owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert machine.succeed(psql + f'"{owner}"').strip() == "warp-skeleton_owner"
    machine.fail(psql + '"SET ROLE \\"warp-skeleton\\"; CREATE TABLE mine (id int)"')

with subtest("a replica is restarted under load and no request fails"):
    machine.succeed(
        "oha --no-tui --output-format json -z 15s -c 8 -H 'Authorization: Bearer "
        + token
        + "' http://localhost/auth/me > /tmp/load.json 2> /tmp/load.err & echo $! > /tmp/load.pid"
    )
    machine.sleep(3)
    machine.succeed("systemctl restart warp-skeleton-1")
    machine.wait_until_succeeds("curl -fsS http://127.0.0.1:8000/ready")
    machine.wait_until_fails("kill -0 $(cat /tmp/load.pid)", timeout=60)
    result = json.loads(machine.succeed("cat /tmp/load.json"))
    assert list(result["statusCodeDistribution"]) == ["200"], result["statusCodeDistribution"]
    # What was still under way when the time was up does not count as an error.
    errors = {
        cause: count
        for cause, count in result["errorDistribution"].items()
        if "deadline" not in cause
    }
    assert not errors, errors

with subtest("PostgreSQL is restarted, and the service finds it again by itself"):
    machine.succeed("systemctl restart postgresql.service")
    machine.wait_until_succeeds(me(), timeout=30)
    for replica in [1, 2]:
        machine.succeed(f"systemctl is-active warp-skeleton-{replica}")

with subtest("a stop is quick and clean"):
    machine.succeed("systemctl stop warp-skeleton-1")
    assert machine.succeed("systemctl show -P Result warp-skeleton-1").strip() == "success"
