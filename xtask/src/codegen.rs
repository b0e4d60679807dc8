//! `cargo xtask codegen`: from the `.proto` files to `proto/src/gen`.
//!
//! The result is committed, so that building Quorate needs neither `protoc` nor a build script, and so that a change of
//! the generator shows in review. A test generates again and compares ([`stale_files`]).
//!
//! Three choices differ from prost's defaults:
//!
//! * every `bytes` field is a [`bytes::Bytes`](https://docs.rs/bytes): a key or value decoded from a request is a slice
//!   of the received buffer, not a copy;
//! * requests of `InternalRaftRequest` that are rare are boxed, because the struct has a field for every command there
//!   is: 528 bytes instead of 1,304, moved and dropped for every put;
//! * service clients are generated behind the feature `client`; servers not at all (the server routes calls itself).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use prost::Message;
use prost_build::Module;
use prost_types::FileDescriptorSet;

/// Where the output goes, seen from the root.
pub const OUTPUT: &str = "proto/src/gen";

/// The encoded descriptors, in [`OUTPUT`].
const DESCRIPTORS: &str = "descriptors.bin";

/// Fields of `InternalRaftRequest` that stay inline: the commands of a busy cluster.
const INLINE_COMMANDS: [&str; 7] =
    ["header", "put", "delete_range", "txn", "compaction", "lease_grant", "lease_revoke"];

/// Generates into the working tree, and removes what is generated no more.
///
/// # Errors
/// When a `.proto` file does not compile, or the output cannot be written.
pub fn write(root: &Path) -> Result<()> {
    let output = root.join(OUTPUT);
    fs::create_dir_all(&output)?;
    let files = generate(root)?;
    for name in committed(&output)? {
        if !files.contains_key(&name) {
            fs::remove_file(output.join(name))?;
        }
    }
    for (name, content) in &files {
        fs::write(output.join(name), content).with_context(|| format!("writing {OUTPUT}/{name}"))?;
    }
    println!("{} files in {OUTPUT}", files.len());
    Ok(())
}

/// Names of the files that `cargo xtask codegen` would change, create or remove.
///
/// # Errors
/// When a `.proto` file does not compile, or the committed output cannot be read.
pub fn stale_files(root: &Path) -> Result<Vec<String>> {
    let output = root.join(OUTPUT);
    let mut files = generate(root)?;
    let mut stale = Vec::new();
    for name in committed(&output)? {
        let fresh = files.remove(&name);
        if fresh != Some(fs::read(output.join(&name))?) {
            stale.push(name);
        }
    }
    stale.extend(files.into_keys());
    Ok(stale)
}

/// Generates everything in memory: file name to content.
fn generate(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let descriptors = compile(&root.join("proto"))?;
    let mut files = BTreeMap::new();
    let requests: Vec<_> = descriptors
        .file
        .iter()
        .cloned()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    for (module, code) in configuration(&descriptors).generate(requests)? {
        files.insert(module.to_file_name_or("root"), code.into_bytes());
    }
    // Comments have gone into the Rust code; without them the descriptors are a third of the size.
    let mut bare = descriptors;
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    files.insert(DESCRIPTORS.to_owned(), bare.encode_to_vec());
    Ok(files)
}

/// Compiles every `.proto` file below `include`, in the order of their paths.
fn compile(include: &Path) -> Result<FileDescriptorSet> {
    let mut paths = Vec::new();
    collect_protos(include, &mut paths)?;
    paths.sort();
    let mut compiler = protox::Compiler::new([include])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(paths)?;
    Ok(compiler.file_descriptor_set())
}

fn collect_protos(directory: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn configuration(descriptors: &FileDescriptorSet) -> prost_build::Config {
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    for field in boxed_commands(descriptors) {
        config.boxed(field);
    }
    let clients = tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]");
    config.service_generator(clients.service_generator());
    config
}

fn boxed_commands(descriptors: &FileDescriptorSet) -> Vec<String> {
    let commands = descriptors.file.iter().flat_map(|file| &file.message_type);
    commands
        .filter(|message| message.name() == "InternalRaftRequest")
        .flat_map(|message| &message.field)
        .filter(|field| field.type_name.is_some() && !INLINE_COMMANDS.contains(&field.name()))
        .map(|field| format!(".etcdserverpb.InternalRaftRequest.{}", field.name()))
        .collect()
}

fn committed(output: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(output).with_context(|| format!("reading {}", output.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
