//! Manifests, compose file and image: they can be read, and agree with each other.

use std::fs;

use serde_json::Value;
use xtask::dist::image;
use xtask::repository_root;

/// Returns a file of `dist/`.
pub(crate) fn read(path: &str) -> String {
    let path = repository_root().join("dist").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the documents of a YAML file.
pub(crate) fn read_yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns a JSON file.
pub(crate) fn read_json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn of_kind(documents: &[Value], kind: &str) -> Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
}

/// Checks that a container asks its member whether it lives and is ready.
fn check_probes(container: &Value) {
    for (probe, path) in
        [("startupProbe", "/readyz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn the_stateful_set_founds_a_cluster_of_as_many_members_as_it_has() {
    let documents = read_yaml("kubernetes/quorate.yaml");
    let set = of_kind(&documents, "StatefulSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    check_probes(container);
    let arguments = texts(&container["args"]);
    let founders =
        arguments.iter().find_map(|flag| flag.strip_prefix("--initial-cluster=")).expect("the flag");
    assert_eq!(founders.split(',').count() as u64, set["spec"]["replicas"].as_u64().expect("a number"));
    for (number, founder) in founders.split(',').enumerate() {
        let member = format!("quorate-{number}");
        assert!(founder.starts_with(&format!("{member}=http://{member}.quorate.")), "{founder}");
    }
}

#[test]
fn the_services_and_the_budget_are_about_the_pods_of_the_set() {
    let documents = read_yaml("kubernetes/quorate.yaml");
    let set = of_kind(&documents, "StatefulSet");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    for document in &documents {
        let selector = match document["kind"].as_str() {
            Some("Service") => &document["spec"]["selector"],
            _ => &document["spec"]["selector"]["matchLabels"],
        };
        assert_eq!(selector, labels, "{}", document["kind"]);
    }
    let headless = of_kind(&documents, "Service");
    assert_eq!(
        (&headless["metadata"]["name"], &headless["spec"]["clusterIP"]),
        (&set["spec"]["serviceName"], &"None".into())
    );
    assert_eq!(headless["spec"]["publishNotReadyAddresses"], true);
}

#[test]
fn pods_run_as_the_account_of_the_image() {
    let set = of_kind(&read_yaml("kubernetes/quorate.yaml"), "StatefulSet");
    let security = &set["spec"]["template"]["spec"]["securityContext"];
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(security[key], image::USER, "{key}");
    }
    assert!(read("docker/Dockerfile").contains(&format!("USER {0}:{0}\n", image::USER)));
}

#[test]
fn the_static_pod_is_where_kubeadm_looks_for_it() {
    let pod = of_kind(&read_yaml("kubernetes/kubeadm-etcd.yaml"), "Pod");
    assert_eq!(
        (&pod["metadata"]["name"], &pod["metadata"]["namespace"]),
        (&"etcd".into(), &"kube-system".into())
    );
    let container = &pod["spec"]["containers"][0];
    check_probes(container);
    assert_eq!(texts(&container["command"])[0], "etcd");
    let mounted: Vec<_> =
        container["volumeMounts"].as_array().expect("mounts").iter().map(|mount| &mount["name"]).collect();
    for volume in pod["spec"]["volumes"].as_array().expect("volumes") {
        assert!(mounted.contains(&&volume["name"]), "{}", volume["name"]);
    }
}

#[test]
fn the_members_of_the_compose_file_know_each_other() {
    let [file] = read_yaml("docker/compose.yaml").try_into().expect("one document");
    let services = file["services"].as_object().expect("services");
    assert_eq!(services.len(), 3);
    for (name, service) in services {
        let environment = &service["environment"];
        assert_eq!(environment["ETCD_NAME"], name.as_str());
        let entry =
            format!("{name}={}", environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"].as_str().expect("a URL"));
        let founders = environment["ETCD_INITIAL_CLUSTER"].as_str().expect("a text");
        assert!(founders.split(',').any(|founder| founder == entry), "{entry}");
    }
}

/// Whether a program that a file names is in the image, so that it needs no shell.
#[test]
fn the_health_check_needs_no_shell() {
    let dockerfile = read("docker/Dockerfile");
    let check =
        dockerfile.lines().skip_while(|line| !line.starts_with("HEALTHCHECK")).nth(1).expect("its command");
    let command = check.trim().strip_prefix("CMD ").expect("a command");
    let words: Vec<String> = serde_json::from_str(command).expect("a list, and no line for a shell");
    assert_eq!(words[0], "/usr/local/bin/quoratectl");
}
