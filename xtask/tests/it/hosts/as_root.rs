//! What only root can set up: file systems, owners, attributes, this machine's own `/etc`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use super::{BLOCK, CLOUD_INIT, Machine, USERS, is_root};
use crate::checkout::Run;

/// A script as root with mounts of its own. `$X` is the xtask, `$D` the folder of the hosts file.
fn with_own_mounts(machine: &Machine, script: &str) -> Run {
    assert!(is_root(), "this test needs root: it mounts");
    let mut command = machine.checkout.command("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-eu",
        "-c",
        script,
    ]);
    command
        .env("X", env!("CARGO_BIN_EXE_xtask"))
        .env("D", &machine.folder);
    command
        .env("XDG_STATE_HOME", machine.checkout.root().join("state"))
        .current_dir(machine.checkout.root());
    Run::of(&mut command)
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_leaves_the_file_untouched() {
    let machine = Machine::new(USERS);
    let script = r#"
        mount -t tmpfs -o size=64k tmpfs "$D"
        # The first bytes of the block find a place in the last page, the others do not.
        { head -c 8149 /dev/zero | tr '\0' x; echo; } > before
        cp before "$D/hosts"; cp before "$D/mounted"
        cat /dev/zero > "$D/filler" 2>/dev/null || true
        # A mount point is written in place, which is undone.
        touch mounted; mount --bind "$D/mounted" mounted
        for file in "$D/hosts" mounted; do
            code=0; "$X" hosts --file "$file" --yes || code=$?
            test $code = 1
            cmp "$file" before
        done
        test "$(ls -A "$D" | tr '\n' ' ')" = "filler hosts mounted "
    "#;
    let run = with_own_mounts(&machine, script)
        .success()
        .says("its disk is full");
    assert_eq!(
        run.stderr.matches("its disk is full").count(),
        2,
        "{}",
        run.stderr
    );
}

#[test]
#[ignore = "needs root"]
fn a_read_only_file_system_is_named() {
    let machine = Machine::new(USERS);
    let script = r#"
        mount --bind "$D" "$D"; mount -o remount,bind,ro "$D"
        code=0; "$X" hosts --file "$D/hosts" --yes || code=$?
        test $code = 1
    "#;
    with_own_mounts(&machine, script)
        .success()
        .says("it is on a read-only file system");
    machine.is_untouched(USERS);
}

#[test]
#[ignore = "needs root"]
fn an_immutable_file_is_named() {
    let machine = Machine::new(USERS);
    let chattr =
        |flag: &str| Run::of(Command::new("chattr").arg(flag).arg(&machine.file)).success();
    chattr("+i");
    let run = machine.hosts(&["--yes"]);
    chattr("-i");
    run.code(1).says("it is immutable").says("chattr");
    assert_eq!(machine.read(), USERS);
    assert_eq!(machine.names_in_folder(), ["hosts"]);
}

#[test]
#[ignore = "needs root"]
fn a_bind_mounted_file_is_written_in_place() {
    let machine = Machine::new(USERS);
    let script = r#"
        cp "$D/hosts" real; mount --bind real "$D/hosts"
        "$X" hosts --file "$D/hosts" --yes
        "$X" hosts --file "$D/hosts" --check
        echo "10.0.0.2 below" >> real
        "$X" hosts --file "$D/hosts" --remove --yes

        # As in `docker run --read-only`: the folder is read-only, the file is not.
        mkdir ro; touch ro/hosts; mount --bind ro ro; mount -o remount,bind,ro ro; mount --bind real ro/hosts
        "$X" hosts --file ro/hosts --yes
    "#;
    with_own_mounts(&machine, script).success();
    let real = fs::read_to_string(machine.checkout.root().join("real")).unwrap();
    assert_eq!(real, USERS.to_owned() + "10.0.0.2 below\n" + BLOCK);
    machine.names_in_folder();
    assert_eq!(machine.copies().len(), 2);
}

#[test]
#[ignore = "needs root"]
fn owner_group_and_mode_survive_when_root_writes() {
    assert!(is_root(), "this test needs root: it gives a file away");
    let machine = Machine::new(USERS);
    std::os::unix::fs::chown(&machine.file, Some(1234), Some(2345)).unwrap();
    fs::set_permissions(&machine.file, fs::Permissions::from_mode(0o664)).unwrap();
    for action in [&["--yes"][..], &["--yes", "--remove"]] {
        let before = fs::metadata(&machine.file).unwrap();
        machine.hosts(action).success();
        let after = fs::metadata(&machine.file).unwrap();
        assert_ne!(after.ino(), before.ino(), "it was not replaced");
        assert_eq!((after.uid(), after.gid()), (1234, 2345));
        assert_eq!(after.mode() & 0o7777, 0o664);
    }
}

/// Anyone may read, and the user 1234 may write: in the kernel's own form, version 2.
#[cfg(target_os = "linux")]
const ACCESS_LIST: [u8; 44] = [
    2, 0, 0, 0, //
    1, 0, 6, 0, 255, 255, 255, 255, // its owner
    2, 0, 6, 0, 210, 4, 0, 0, // the user 1234
    4, 0, 4, 0, 255, 255, 255, 255, // its group
    16, 0, 6, 0, 255, 255, 255, 255, // the mask
    32, 0, 4, 0, 255, 255, 255, 255, // others
];

#[cfg(target_os = "linux")]
const LABEL: &[u8] = b"system_u:object_r:net_conf_t:s0\0";

#[cfg(target_os = "linux")]
fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[cfg(target_os = "linux")]
fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = rustix::fs::getxattr(path, name, &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root"]
fn the_selinux_label_and_the_access_list_survive() {
    assert!(
        is_root(),
        "this test needs root: it sets a security attribute"
    );
    let machine = Machine::new(USERS);
    set_attribute(&machine.file, "security.selinux", LABEL);
    set_attribute(&machine.file, "system.posix_acl_access", &ACCESS_LIST);
    let inode = fs::metadata(&machine.file).unwrap().ino();
    let run = machine.hosts(&["--yes"]).success();
    assert_ne!(fs::metadata(&machine.file).unwrap().ino(), inode);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let (label, list) = ("security.selinux", "system.posix_acl_access");
    assert_eq!(attribute(&machine.file, label).as_deref(), Some(LABEL));
    assert_eq!(
        attribute(&machine.file, list).as_deref(),
        Some(&ACCESS_LIST[..])
    );
}

#[test]
#[ignore = "needs root"]
fn the_configuration_of_cloud_init_decides_over_the_header() {
    let machine = Machine::new(USERS);
    fs::write(machine.checkout.root().join("header"), CLOUD_INIT).unwrap();
    let script = r#"
        cp -a /etc own-etc; mount --bind own-etc /etc
        mkdir -p /etc/cloud/cloud.cfg.d /etc/cloud/templates
        rm -f /etc/cloud/cloud-init.disabled
        warns() { "$X" hosts --yes 2>said; "$X" hosts --remove --yes; grep -q 'will be lost at the next boot' said; }
        ! warns
        echo 'manage_etc_hosts: true' > /etc/cloud/cloud.cfg; warns
        grep -q "echo 'manage_etc_hosts: false' | sudo tee /etc/cloud/cloud.cfg.d/" said
        # What it says to type makes it so.
        sed -n "s/^.*hint: .*\`\(.*\)\`$/\1/p" said | sed 's/sudo //' | sh
        ! warns
        rm /etc/cloud/cloud.cfg.d/*
        touch /etc/cloud/cloud-init.disabled; ! warns
        rm /etc/cloud/cloud-init.disabled
        cat header /etc/hosts > new; cp new /etc/hosts; warns
        sed -n "s/^.*hint: .*\`\(.*\)\`$/\1/p" said | sed "s|cargo xtask|'$X'|; s/sudo //" | sh
        ! warns
        # Now the template brings the block back.
        "$X" hosts --yes; "$X" hosts --remove --yes 2>said; grep -q 'it will be back' said
        sed -n "s/^.*hint: .*\`\(.*\)\`$/\1/p" said | sed 's/sudo //' | sh
        warns
        test ! -s /etc/cloud/templates/hosts.debian.tmpl
    "#;
    with_own_mounts(&machine, script).success();
}

#[test]
#[ignore = "needs root"]
fn as_root_it_works_on_this_machines_own_hosts_file() {
    let machine = Machine::new(USERS);
    let script = r#"
        # A folder that is ours, where rename works; then a mount point, as in a container.
        for kind in folder file; do
            if [ $kind = folder ]; then cp -a /etc own-etc; mount --bind own-etc /etc
            else cp /etc/hosts own-hosts; mount --bind own-hosts /etc/hosts; fi
            cp -a /etc/hosts before
            ! "$X" hosts --check
            "$X" hosts --yes
            getent ahosts analytics.local | grep -q 127.0.0.1
            getent ahosts errors.local | grep -q ::1
            "$X" hosts --check
            "$X" hosts
            "$X" hosts --remove --yes
            ! "$X" hosts --check
            cmp /etc/hosts before
            test "$(stat -c '%a %u %g' /etc/hosts)" = "$(stat -c '%a %u %g' before)"
        done
    "#;
    let before = fs::read("/etc/hosts").unwrap();
    let run = with_own_mounts(&machine, script).success();
    assert_eq!(
        run.stdout
            .matches("system resolver: 127.0.0.1, ::1")
            .count(),
        4,
        "{}",
        run.stdout
    );
    assert_eq!(
        fs::read("/etc/hosts").unwrap(),
        before,
        "it got out of its mount namespace"
    );
}
