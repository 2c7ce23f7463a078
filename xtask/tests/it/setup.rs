//! `setup` as a user sees it: files, output, exit codes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;

use snapbox::{assert_data_eq, str};

use crate::checkout::{Checkout, Run};

#[test]
fn makes_a_private_env_file_and_says_which_keys_never_which_values() {
    let checkout = Checkout::new();
    let run = checkout
        .xtask(&["setup"])
        .success()
        .says("POSTGRES_PASSWORD");
    let text = checkout.read(".env");
    assert!(
        !text
            .lines()
            .any(|line| !line.starts_with('#') && line.contains("change_this")),
        "{text}"
    );
    assert_eq!(
        fs::metadata(checkout.path(".env"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    for key in [
        "POSTGRES_PASSWORD",
        "UMAMI_APP_SECRET",
        "GLITCHTIP_SECRET_KEY",
        "GLITCHTIP_API_TOKEN",
    ] {
        assert!(
            !run.stderr.contains(&checkout.variable(key)),
            "{key} was printed"
        );
    }
    assert_eq!(checkout.variable("UMAMI_APP_SECRET").len(), 32);
    assert_eq!(checkout.variable("GLITCHTIP_SECRET_KEY").len(), 50);
    let id = checkout.variable("UMAMI_WEBSITE_ID");
    assert_eq!(
        (id.len(), id.as_bytes()[14]),
        (36, b'4'),
        "{id} is no UUID of version 4"
    );
}

#[test]
fn every_checkout_gets_secrets_of_its_own() {
    let secrets = [Checkout::new(), Checkout::new()].map(|checkout| {
        checkout.xtask(&["setup"]).success();
        checkout.variable("POSTGRES_PASSWORD")
    });
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn a_second_setup_changes_nothing_and_says_so() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    let before = (
        checkout.read(".env"),
        fs::metadata(checkout.path(".env"))
            .unwrap()
            .modified()
            .unwrap(),
    );
    checkout
        .xtask(&["setup"])
        .success()
        .says("already complete");
    let after = (
        checkout.read(".env"),
        fs::metadata(checkout.path(".env"))
            .unwrap()
            .modified()
            .unwrap(),
    );
    assert_eq!(before, after);
}

#[test]
fn keeps_what_the_user_wrote_and_adds_only_what_is_missing() {
    let checkout = Checkout::new();
    let mine = "# mine\r\nPOSTGRES_USER = 'me' # note\r\nEXTRA=\"a b\"\r\nPOSTGRES_PASSWORD=kept";
    checkout.write(".env", mine);
    checkout
        .xtask(&["setup"])
        .success()
        .says("UMAMI_APP_SECRET");
    let text = checkout.read(".env");
    assert!(text.starts_with(mine), "{text}");
    assert!(
        text.ends_with("\r\n") && !text.replace("\r\n", "").contains('\n'),
        "mixed line endings"
    );
    assert_eq!(text.matches("POSTGRES_USER").count(), 1);
}

#[test]
fn keeps_a_password_that_looks_like_a_comment_a_placeholder_or_nothing() {
    let checkout = Checkout::new();
    let mine = "POSTGRES_PASSWORD=#s3cret\nUMAMI_ADMIN_PASSWORD= # not a comment\n\
                UMAMI_DATABASE_PASSWORD='change_this_is_Mine'\nGLITCHTIP_SECRET_KEY=$ELSEWHERE\n";
    checkout.write(".env", mine);
    checkout.xtask(&["setup"]).success();
    let text = checkout.read(".env");
    assert!(text.starts_with(mine), "{text}");
}

#[test]
fn a_domain_that_is_added_gets_the_port_that_is_set() {
    let checkout = Checkout::new();
    checkout.write(".env", "GLITCHTIP_PORT=13002\n");
    checkout.xtask(&["setup"]).success();
    let domain = checkout.variable("GLITCHTIP_DOMAIN");
    assert_eq!(domain, "http://errors.local:13002");
}

#[test]
fn keeps_a_symlink_and_fills_its_target() {
    let checkout = Checkout::new();
    let target = checkout.root().join("elsewhere");
    fs::write(&target, "POSTGRES_USER=me\n").unwrap();
    symlink(&target, checkout.path(".env")).unwrap();
    checkout.xtask(&["setup"]).success();
    assert!(checkout.path(".env").is_symlink());
    assert!(
        fs::read_to_string(target)
            .unwrap()
            .contains("UMAMI_APP_SECRET=")
    );
}

#[test]
fn closes_an_env_file_that_others_could_read() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    fs::set_permissions(checkout.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    checkout.xtask(&["setup"]).success().says("0600");
    assert_eq!(
        fs::metadata(checkout.path(".env"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn refuses_what_cannot_be_parsed_with_its_line_and_without_its_text() {
    let cases: [(&[u8], &str); 4] = [
        (b"A=1\nB=\"hunter2\n", "line 2"),
        (b"A=1\n\nhunter2 B=1\n", "line 3"),
        (b"A='x' hunter2=/\n='hunter2'", "line 2"),
        (b"A=1\nB=hunter2\xff\n", "line 2"),
    ];
    for (bytes, line) in cases {
        let checkout = Checkout::new();
        fs::write(checkout.path(".env"), bytes).unwrap();
        let run = checkout.xtask(&["setup"]).code(1).says(line).says(".env");
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        assert_eq!(
            fs::read(checkout.path(".env")).unwrap(),
            bytes,
            "the file was changed"
        );
    }
}

#[test]
fn leaves_no_temporary_file() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    let names: Vec<_> = fs::read_dir(checkout.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_str().unwrap().contains("new-")),
        "{names:?}"
    );
}

#[test]
fn a_folder_or_a_link_to_nowhere_in_its_place_is_named_with_what_to_type() {
    let checkout = Checkout::new();
    fs::create_dir(checkout.path(".env")).unwrap();
    checkout
        .xtask(&["setup"])
        .code(1)
        .says("/deploy/analytics/.env is a folder, not a file")
        .says("  hint: ");

    let checkout = Checkout::new();
    symlink("/nowhere/env", checkout.path(".env")).unwrap();
    checkout
        .xtask(&["setup"])
        .code(1)
        .says("/deploy/analytics/.env is a link to a file that does not exist")
        .says("  hint: ");
    assert!(checkout.path(".env").is_symlink());
}

#[test]
#[ignore = "needs root"]
fn a_file_of_another_user_keeps_its_owner_when_root_completes_it() {
    let checkout = Checkout::new();
    checkout.write(".env", "POSTGRES_USER=me\n");
    chown(checkout.path(".env"), Some(65534), Some(65534)).unwrap();
    checkout
        .xtask(&["setup"])
        .success()
        .says("POSTGRES_PASSWORD");
    let metadata = fs::metadata(checkout.path(".env")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534));
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
#[ignore = "needs root"]
fn every_command_says_who_owns_a_file_that_it_may_not_read() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    fs::set_permissions(checkout.root(), fs::Permissions::from_mode(0o755)).unwrap();
    for verb in [&["setup"][..], &["doctor"], &["status"], &["up"]] {
        let mut command = checkout.xtask_command(verb);
        let run = Run::of(command.uid(65534).gid(65534)).code(1);
        // What doctor finds is its result, and on stdout.
        let said = run.stdout + &run.stderr;
        assert!(
            said.contains("deploy/analytics/.env belongs to root"),
            "{verb:?}: {said}"
        );
        assert!(said.contains("`sudo chown "), "{verb:?}: {said}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_folder_of_somebody_else_is_named_with_what_to_type() {
    let checkout = Checkout::new();
    fs::set_permissions(checkout.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let folder = checkout.path("");
    let run_as_nobody = || {
        let mut command = checkout.xtask_command(&["setup"]);
        Run::of(command.uid(65534).gid(65534)).code(1)
    };

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let run = run_as_nobody().says("deploy/analytics belongs to root, so you may not write to it");
    run.says("hint: give it to yourself: `sudo chown -R ");

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let run = run_as_nobody().says("you may not look into ");
    run.says("`sudo chmod a+x '");

    chown(&folder, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let run = run_as_nobody().says("the mode of ");
    run.says("hint: allow it: `chmod u+rwX '");
}

#[test]
fn references_see_what_compose_lets_them_see() {
    let checkout = Checkout::new();
    // The shell has both; the second is one that the stack knows, so children do not inherit it.
    checkout.write(".env", "A=${HOME:?}\nB=${POSTGRES_USER:?}\n");
    let mut command = checkout.xtask_command(&["setup"]);
    command
        .env("HOME", "/home")
        .env("POSTGRES_USER", "exported");
    Run::of(&mut command)
        .code(1)
        .says("deploy/analytics/.env, line 2: ");
}

/// Everything that `setup` says, with the temporary folder left out.
fn said_by_setup(checkout: &Checkout) -> String {
    let run = checkout.xtask(&["setup"]);
    assert_eq!(run.stdout, "");
    let root = fs::canonicalize(checkout.root()).unwrap();
    run.stderr
        .replace(&format!("{}/", root.display()), "[CHECKOUT]/")
        .replace(&format!("{}/", checkout.root().display()), "[CHECKOUT]/")
}

#[test]
#[expect(clippy::too_many_lines, reason = "snapshots are long")]
fn setup_says_in_a_line_what_it_did_or_why_it_did_nothing() {
    let checkout = Checkout::new();
    assert_data_eq!(
        said_by_setup(&checkout),
        str![[r#"
created deploy/analytics/.env with new secrets: POSTGRES_PASSWORD, UMAMI_DATABASE_PASSWORD, GLITCHTIP_DATABASE_PASSWORD, UMAMI_APP_SECRET, UMAMI_ADMIN_PASSWORD, UMAMI_WEBSITE_ID, GLITCHTIP_SECRET_KEY, GLITCHTIP_ADMIN_PASSWORD, GLITCHTIP_API_TOKEN

"#]]
    );
    assert_data_eq!(
        said_by_setup(&checkout),
        str![[r#"
already complete: deploy/analytics/.env

"#]]
    );
    fs::set_permissions(checkout.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_data_eq!(
        said_by_setup(&checkout),
        str![[r#"
set the mode of deploy/analytics/.env to 0600: other users could read it

"#]]
    );

    let text = checkout.read(".env");
    let without_domain = text.replace("SITE_DOMAIN=", "# ");
    let password = checkout.variable("UMAMI_ADMIN_PASSWORD");
    checkout.write(
        ".env",
        &without_domain.replace(&password, "change_this_strong_password"),
    );
    assert_data_eq!(
        said_by_setup(&checkout),
        str![[r#"
added to deploy/analytics/.env: SITE_DOMAIN
generated secrets in deploy/analytics/.env: UMAMI_ADMIN_PASSWORD

"#]]
    );
    checkout.write(".env", "A=1\nB='hunter2\n");
    assert_data_eq!(
        said_by_setup(&checkout),
        str![[r#"
error: deploy/analytics/.env, line 2: a quote is opened and never closed
  hint: correct line 2; put a value with blanks, quotes, # or $ in single quotes, and write /' for a single quote in it

"#]]
    );
    fs::remove_file(checkout.path(".env")).unwrap();
    fs::create_dir(checkout.path(".env")).unwrap();
    assert_data_eq!(
        said_by_setup(&checkout),
        str![[r#"
error: [CHECKOUT]/deploy/analytics/.env is a folder, not a file: Is a directory (os error 21)
  hint: move it away: `mv '[CHECKOUT]/deploy/analytics/.env' '[CHECKOUT]/deploy/analytics/.env.old'`

"#]]
    );
}
