//! What is packed: the same every time, complete, and a member starts from it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use testkit::{Program, Server, skip};
use xtask::dist::entries::{Compression, Packing};
use xtask::dist::{Artifact, Programs, Release, build, pack};
use xtask::repository_root;

use super::unit::{Service, values};

const EPOCH: u64 = 1_700_000_000;

/// The programs that Cargo built beside this test.
fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let server = Program::quorate().expect("the server is built");
        let directory = server.path().parent().expect("a directory");
        if build::TOOLS.iter().any(|tool| !directory.join(tool).is_file()) {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let built = Command::new(cargo).args(["build", "--package", "quorate-cli", "--bins"]).status();
            assert!(built.expect("cargo runs").success());
        }
        Programs::read(directory, directory, build::HOST).expect("the programs run")
    })
}

/// Packs everything, as of a date.
fn packed() -> Vec<Artifact> {
    let root = repository_root();
    let packing = Packing { epoch: EPOCH, compression: Compression::Fast };
    let target = build::resolve_target(build::HOST).expect("there is a compiler");
    let release =
        Release { root: &root, version: "1.2.3-rc.1", target: &target, programs: programs(), packing };
    pack(&release).expect("it can be packed")
}

/// What every test looks at.
fn artifacts() -> &'static [Artifact] {
    static ARTIFACTS: OnceLock<Vec<Artifact>> = OnceLock::new();
    ARTIFACTS.get_or_init(packed)
}

fn artifact(ending: &str) -> &'static Artifact {
    let found = artifacts().iter().find(|artifact| artifact.name.ends_with(ending));
    found.unwrap_or_else(|| panic!("nothing ends with {ending}"))
}

/// Returns the `.deb` of a package, whatever machine this is.
fn debian_package(name: &str) -> &'static Artifact {
    let beginning = format!("{name}_");
    let found = artifacts().iter().find(|artifact| artifact.name.starts_with(&beginning));
    found.unwrap_or_else(|| panic!("no package {name}"))
}

fn unpack(tar_gz: &[u8], into: &Path) {
    tar::Archive::new(GzDecoder::new(tar_gz)).unpack(into).expect("it can be unpacked");
}

/// Returns the members of a `.deb`, by name.
fn members(deb: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ar::Archive::new(deb);
    let mut members = Vec::new();
    while let Some(member) = archive.next_entry() {
        let mut member = member.expect("a member");
        let mut content = Vec::new();
        member.read_to_end(&mut content).expect("in memory");
        members.push((String::from_utf8(member.header().identifier().to_vec()).expect("a name"), content));
    }
    members
}

fn control(deb: &[u8]) -> BTreeMap<String, String> {
    let members = members(deb);
    let mut archive = tar::Archive::new(GzDecoder::new(members[1].1.as_slice()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a tar file") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("a text");
        files.insert(name.trim_start_matches("./").to_owned(), text);
    }
    files
}

/// Returns the first line that a program prints.
fn first_line(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).env_clear().output().expect("the program runs");
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// Unpacks the tarball and returns its directory.
fn unpacked_tarball(directory: &Path) -> PathBuf {
    let is_tarball = |name: &str| name.ends_with(".tar.gz") && !name.ends_with("-image.tar.gz");
    let tarball = artifacts().iter().find(|artifact| is_tarball(&artifact.name)).expect("a tarball");
    unpack(&tarball.content, directory);
    directory.join(tarball.name.strip_suffix(".tar.gz").expect("its ending"))
}

#[test]
fn the_same_programs_give_the_same_bytes() {
    let again = packed();
    for (one, other) in artifacts().iter().zip(&again) {
        assert!(one == other, "{}", one.name);
    }
    assert_eq!(artifacts().len(), again.len());
}

#[test]
fn the_sums_are_of_everything_else() {
    let sums = String::from_utf8(artifact("SHA256SUMS").content.clone()).expect("a text");
    let named: Vec<_> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    let others: Vec<_> = artifacts()
        .iter()
        .map(|artifact| artifact.name.as_str())
        .filter(|name| *name != "SHA256SUMS")
        .collect();
    assert_eq!(named, others);
}

#[test]
fn a_member_starts_from_the_tarball_as_its_unit_says() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = unpacked_tarball(directory.path());
    let unit = fs::read_to_string(root.join("systemd/quorate.service")).expect("the unit");
    let service = Service::start(&unit, &root, &root.join("quorate.yaml"));
    assert!(service.is_ready());
    assert!(!service.stop().success(), "a clean stop is death by the signal, as etcd's is");
}

#[test]
fn a_member_starts_from_the_debian_package_as_its_unit_says() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
    unpack(&members(&debian_package("quorate").content)[2].1, root);
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/quorate.service")).expect("the unit");
    let service = Service::start(&unit, &root.join("usr/bin"), &root.join("etc/quorate/quorate.yaml"));
    assert!(service.is_ready());
    let health = Command::new(root.join("usr/bin/quoratectl"))
        .args(["--endpoints", service.client(), "endpoint", "health"])
        .env_clear()
        .output()
        .expect("the tool runs");
    assert!(health.status.success(), "{health:?}");
    service.stop();
}

#[test]
fn programs_go_by_etcds_names() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = unpacked_tarball(directory.path());
    assert_eq!(first_line(&root.join("etcdctl"), "version"), "etcdctl version: 3.7.1");
    assert_eq!(first_line(&root.join("etcdutl"), "version"), "etcdutl version: 3.7.1");
    let etcd = Program::at(&root.join("etcd")).expect("it says which etcd it is");
    let mut server = Server::start(&etcd, &[]);
    server.terminate();
}

#[test]
fn manuals_and_completions_are_packed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = unpacked_tarball(directory.path());
    for path in
        ["man/man8/quorate.8", "man/man1/quoratectl.1", "man/man1/quoratectl-get.1", "man/man1/quorateutl.1"]
    {
        let page = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(page.contains(".TH "), "{path}");
    }
    for tool in build::TOOLS {
        for shell in build::SHELLS {
            let script =
                fs::read_to_string(root.join(format!("completions/{tool}.{shell}"))).expect("a script");
            assert!(script.contains(tool), "{tool}, {shell}");
        }
    }
}

#[test]
fn the_image_has_programs_an_account_and_a_place_for_data() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    unpack(&artifact("-image.tar.gz").content, directory.path());
    let programs = directory.path().join("usr/local/bin");
    assert!(first_line(&programs.join("etcd"), "--version").starts_with("etcd Version: "));
    assert!(directory.path().join("var/lib/etcd").is_dir());
    let accounts = fs::read_to_string(directory.path().join("etc/passwd")).expect("accounts");
    assert!(accounts.contains("quorate:x:65532:65532:"));
}

#[test]
fn a_debian_package_is_what_deb_5_says() {
    for name in ["quorate", "quorate-etcd"] {
        let members = members(&debian_package(name).content);
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
        assert_eq!(members[0].1, b"2.0\n");
    }
    let control = control(&debian_package("quorate").content);
    for line in ["Package: quorate\n", "Version: 1.2.3~rc.1\n", "Section: database\n", "Homepage: https://"] {
        assert!(control["control"].contains(line), "{line}");
    }
    let named = control["control"].lines().find_map(|line| line.strip_prefix("Architecture: "));
    assert_eq!(
        debian_package("quorate").name,
        format!("quorate_1.2.3~rc.1_{}.deb", named.unwrap_or_default())
    );
    let conffiles =
        ["/etc/default/quorate-gateway", "/etc/default/quorate-grpc-proxy", "/etc/quorate/quorate.yaml"];
    assert_eq!(control["conffiles"].lines().collect::<Vec<_>>(), conffiles);
    assert!(control["postinst"].contains("adduser --system"));
    assert!(control["md5sums"].contains("  usr/bin/quorate\n"));
}

/// The scripts are run by `sh`, as root, on machines of others.
#[test]
fn the_scripts_of_the_package_are_scripts() {
    let control = control(&debian_package("quorate").content);
    for script in ["postinst", "postrm", "prerm"] {
        let mut sh = Command::new("sh");
        let checked = sh.args(["-n", "-c", &control[script]]).output().expect("there is a shell");
        assert!(checked.status.success(), "{script}: {checked:?}");
        assert!(
            control[script].starts_with("#!/bin/sh\n") && control[script].contains("\nset -e\n"),
            "{script}"
        );
    }
}

#[test]
fn dpkg_reads_the_packages() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in ["quorate", "quorate-etcd"] {
        let package = debian_package(name);
        let path = directory.path().join(&package.name);
        fs::write(&path, &package.content).expect("a file in a fresh directory");
        let output = match Command::new("dpkg-deb").arg("--info").arg(&path).output() {
            Ok(output) => output,
            Err(error) => return skip::excuse("dpkg_reads_the_packages", &format!("dpkg-deb: {error}")),
        };
        assert!(output.status.success(), "{output:?}");
        let listed = Command::new("dpkg-deb").arg("--contents").arg(&path).output().expect("it ran before");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(
            listed.lines().all(|line| line.contains(" root/root ") || line.contains(" 0/0 ")),
            "{listed}"
        );
    }
}

#[test]
fn the_bill_of_materials_names_what_is_linked() {
    let bill: serde_json::Value = serde_json::from_slice(&artifact(".cdx.json").content).expect("JSON");
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bill["components"].as_array().expect("components");
    assert!(
        components
            .iter()
            .any(|component| component["name"] == "redb" && component["purl"] == "pkg:cargo/redb@4.6.0")
    );
}

/// The services that are there to be enabled run what the server's binary offers.
#[test]
fn the_other_units_run_the_servers_commands() {
    for (unit, command) in [("quorate-gateway", "gateway start"), ("quorate-grpc-proxy", "grpc-proxy start")]
    {
        let text = super::files::read(&format!("systemd/{unit}.service"));
        assert_eq!(values(&text, "ExecStart"), [format!("/usr/bin/quorate {command} $QUORATE_ARGUMENTS")]);
        assert_eq!(values(&text, "EnvironmentFile"), [format!("-/etc/default/{unit}")]);
        assert!(super::files::read(&format!("debian/{unit}.default")).contains("QUORATE_ARGUMENTS="));
    }
}
