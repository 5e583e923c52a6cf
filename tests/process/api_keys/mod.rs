//! Keys of machines, administered from the shell and used against two replicas of the built program.

use warp_skeleton::features::api_keys::{ApiKey, PREFIX};

use crate::{
    cluster,
    support::{Service, complaint, printed, run},
};

const OWNER: &str = "owner@marked.example";

#[tokio::test]
async fn keys_are_administered_from_the_shell() {
    let url = cluster::new_database().await;
    let one = Service::start(&url, &[]);
    let two = Service::start(&url, &[]);
    let key = |arguments: &[&str]| run(&url, &[], &[&["key"], arguments].concat(), "");
    let user = ["user", "create", "--email", OWNER, "--role", "ADMIN"];
    printed(&run(&url, &[], &user, "marked-password-1\n"));
    let create = ["create", "--email", OWNER, "--name", "report", "--quiet"];
    let with = |more: &[&str]| key(&[&create[..], more].concat());

    let made = printed(&with(&["--scope", "account:read", "--days", "7"]));
    let made = made.trim();

    assert!(ApiKey::parse(made).is_some());
    for service in [&one, &two] {
        assert_eq!(service.me(made).json()["email"], OWNER);
        assert_eq!(service.get_as(made, "/users").status, 403);
    }
    let list = printed(&key(&["list", "--email", OWNER]));
    assert_eq!(list.lines().count(), 1);
    assert!(list.contains(&made[..PREFIX.len() + 5]) && !list.contains(made));
    let id = list.split(' ').next().unwrap();
    printed(&key(&["revoke", id]));
    for service in [&one, &two] {
        assert_eq!(service.me(made).status, 401);
    }
    assert_eq!(printed(&key(&["list", "--email", OWNER])), "");
    assert!(complaint(&key(&["revoke", id])).contains("no live key"));
    assert!(complaint(&with(&["--scope", "nothing:read"])).contains("there are account:read"));
    let nobody = ["list", "--email", "nobody@marked.example"];
    assert!(complaint(&key(&nobody)).contains("no account has the address"));
}

#[tokio::test]
async fn a_password_that_is_set_from_the_shell_ends_the_keys_on_every_replica() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let user = |verb: &str, input: &str| {
        run(&url, &[], &["user", verb, "--email", OWNER], input);
    };
    user("create", "marked-password-1\n");
    let create = [
        "key", "create", "--email", OWNER, "--name", "report", "--quiet",
    ];
    let create = [&create[..], &["--scope", "account:read"]].concat();
    let key = printed(&run(&url, &[], &create, ""));
    assert_eq!(service.me(key.trim()).status, 200);

    user("set-password", "marked-password-2\n");

    assert_eq!(service.me(key.trim()).status, 401);
}
