//! The `.proto` files against the contract: every service, method, message, field and enum value that etcd 3.7 has, with
//! its number, type and kind, and nothing else. `contract.tsv` says what must be there; the descriptors say what is.
//!
//! One wrong number here is a client that reads garbage, and no other test would see it, as server and tests share the
//! generated code.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
};

const CONTRACT: &str = include_str!("../contract.tsv");

#[test]
fn the_descriptors_say_exactly_what_the_contract_says() {
    let contract: BTreeSet<String> = contract_rows().map(str::to_owned).collect();
    let descriptors = rows_of(&FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap());
    let missing: Vec<_> = contract.difference(&descriptors).collect();
    let surplus: Vec<_> = descriptors.difference(&contract).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}\nsurplus: {surplus:#?}");
}

/// The size of etcd's API, so that a loss in the table itself is seen.
#[test]
fn the_contract_is_whole() {
    let etcd = || contract_rows().filter(|row| !is_ours(row));
    let count = |kind: &str| etcd().filter(|row| row.split('\t').next() == Some(kind)).count();
    assert_eq!(
        (count("rpc"), count("message"), count("field"), count("value")),
        (52, 147, 369, 71),
        "rpcs, messages, fields, enum values"
    );
}

/// What Quorate adds: packages of its own, and fields of etcd's messages from number 20000 on.
fn is_ours(row: &str) -> bool {
    let columns: Vec<_> = row.split('\t').collect();
    let number = columns.get(2).and_then(|number| number.parse::<u32>().ok());
    let packages = ["quoratepb.", "quorate.v1."];
    packages.iter().any(|package| columns[1].starts_with(package))
        || (columns[0] == "field" && number.is_some_and(|n| n >= 20_000))
}

#[test]
fn no_row_of_the_contract_stands_twice() {
    let distinct: BTreeSet<_> = contract_rows().collect();
    assert_eq!(distinct.len(), contract_rows().count());
}

fn contract_rows() -> impl Iterator<Item = &'static str> {
    CONTRACT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The same rows, made from descriptors.
fn rows_of(descriptors: &FileDescriptorSet) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    for file in &descriptors.file {
        let package = file.package();
        file.service.iter().for_each(|service| service_rows(package, service, &mut rows));
        file.message_type.iter().for_each(|message| message_rows(package, message, file, &mut rows));
        file.enum_type.iter().for_each(|declared| enum_rows(package, declared, &mut rows));
    }
    rows
}

fn service_rows(package: &str, service: &ServiceDescriptorProto, rows: &mut BTreeSet<String>) {
    for method in &service.method {
        let kind = match (method.client_streaming(), method.server_streaming()) {
            (false, false) => "unary",
            (false, true) => "server-stream",
            (true, false) => "client-stream",
            (true, true) => "bidi-stream",
        };
        let (request, response) = (absolute(method.input_type()), absolute(method.output_type()));
        rows.insert(format!(
            "rpc\t{package}.{}\t{}\t{kind}\t{request}\t{response}",
            service.name(),
            method.name()
        ));
    }
}

fn message_rows(
    scope: &str,
    message: &DescriptorProto,
    file: &FileDescriptorProto,
    rows: &mut BTreeSet<String>,
) {
    let name = format!("{scope}.{}", message.name());
    rows.insert(format!("message\t{name}"));
    for field in &message.field {
        let oneof = field
            .oneof_index
            .map_or("-", |index| message.oneof_decl[usize::try_from(index).expect("an index")].name());
        let entry = map_entry(message, field);
        let (kind, label) = match entry {
            Some(entry) => {
                (format!("map<{},{}>", type_name(&entry.field[0]), type_name(&entry.field[1])), "one")
            }
            None => (type_name(field), label(field, file)),
        };
        rows.insert(format!("field\t{name}\t{}\t{}\t{kind}\t{label}\t{oneof}", field.number(), field.name()));
    }
    for nested in message.nested_type.iter().filter(|nested| !is_map_entry(nested)) {
        message_rows(&name, nested, file, rows);
    }
    message.enum_type.iter().for_each(|declared| enum_rows(&name, declared, rows));
}

fn enum_rows(scope: &str, declared: &EnumDescriptorProto, rows: &mut BTreeSet<String>) {
    for value in &declared.value {
        rows.insert(format!("value\t{scope}.{}\t{}\t{}", declared.name(), value.name(), value.number()));
    }
}

fn label(field: &FieldDescriptorProto, file: &FileDescriptorProto) -> &'static str {
    let explicit_presence = file.syntax() != "proto3" || field.proto3_optional();
    match field.label() {
        Label::Repeated => "repeated",
        Label::Required => "required",
        Label::Optional if explicit_presence => "optional",
        Label::Optional => "one",
    }
}

fn type_name(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => absolute(field.type_name()).to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

/// Protobuf writes `map<k, v>` as a repeated field of a hidden nested message.
fn map_entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
    message
        .nested_type
        .iter()
        .find(|nested| is_map_entry(nested) && field.type_name().ends_with(&format!(".{}", nested.name())))
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

fn absolute(name: &str) -> &str {
    name.strip_prefix('.').expect("a compiled descriptor has absolute names")
}
