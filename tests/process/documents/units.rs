//! The units for any machine are as confined as those of the NixOS module.

use super::read;

#[test]
fn the_systemd_units_take_away_what_the_nixos_module_does() {
    let module = read("nix/module.nix");
    let confined = module.split("\n  confined = {\n").nth(1).unwrap();
    let confined = confined.split("\n  };").next().unwrap();
    let keys: Vec<_> = confined
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(" = "))
        // Who it runs as has a name only where PostgreSQL has to know it.
        .filter(|(key, _)| !matches!(*key, "User" | "Group"))
        .collect();
    assert!(keys.len() > 25, "{keys:?}");

    for unit in ["warp-skeleton", "warp-skeleton-migrate"] {
        let unit = format!("ops/systemd/{unit}.service");
        let text = read(&unit);
        for (key, value) in &keys {
            let value = value.trim_matches([';', '"']);
            let expected = if value == "[" {
                format!("\n{key}=")
            } else {
                format!("\n{key}={value}\n")
            };
            assert!(text.contains(&expected), "{unit} lacks {key}={value}");
        }
    }
}
