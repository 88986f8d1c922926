//! Comparison of the committed code with what the proto files generate.
//!
//! Users of the crate need no protobuf compiler, because the generated code is committed. After a
//! change to a file in `proto`, regenerate it with
//!
//! ```text
//! PROGLOG_REGENERATE=1 cargo test -p proglog-api --test codegen
//! ```
//!
//! before changing code that needs it: this test links the crate, which must compile.

use std::{env, fs, path::Path};

use prost::Message;
use prost_build::{Config, Module};
use protox::prost_reflect::prost_types::FileDescriptorSet;

const COMMAND: &str = "PROGLOG_REGENERATE=1 cargo test -p proglog-api --test codegen";

/// The files that have all packages.
const FILES: [&str; 2] = ["log/v1/log.proto", "proglog/v1/records.proto"];

/// Compiles all files with protox, without `protoc`.
fn compile() -> FileDescriptorSet {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    protox::compile(FILES, [proto]).expect("the proto files compile")
}

/// Generates the code of a package.
fn generate(package: &str, mut config: Config) -> String {
    let files = compile().file.into_iter();
    let files = files
        .filter(|file| file.package() == package)
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    config.bytes(["."]);
    let modules = config.generate(files).expect("prost generates code");
    modules
        .into_values()
        .next()
        .expect("one package, so one file")
}

/// Compares `generated` with the file at `path` in `src`, or writes it there.
fn check(path: &str, generated: impl AsRef<[u8]>) {
    let generated = generated.as_ref();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path);
    if env::var_os("PROGLOG_REGENERATE").is_some_and(|value| value == "1") {
        fs::write(&committed, generated).expect("the source can be written");
    } else {
        // Not `assert_eq`, which would print both files. Once regenerated, git has the diff.
        let fresh = fs::read(&committed).is_ok_and(|committed| committed == generated);
        assert!(
            fresh,
            "src/{path} is stale; regenerate it with\n\n    {COMMAND}\n"
        );
    }
}

#[test]
fn committed_code_of_the_log_is_what_its_proto_generates() {
    let mut config = Config::new();
    // prost derives these only for messages without repeated and message fields.
    for message in ["Record", "ProduceRequest", "ConsumeResponse"] {
        config.type_attribute(format!(".log.v1.{message}"), "#[derive(Eq, Hash)]");
    }
    check("v1/log.v1.rs", generate("log.v1", config));
}

#[test]
fn committed_code_of_the_server_is_what_its_proto_generates() {
    let mut config = Config::new();
    config.extern_path(".log.v1", "crate::v1");
    check("proglog/proglog.v1.rs", generate("proglog.v1", config));
}

#[test]
fn committed_clients_and_servers_are_what_the_services_generate() {
    for package in ["log.v1", "proglog.v1"] {
        let mut config = Config::new();
        // The messages have modules of their own.
        config.extern_path(".log.v1", "crate::v1");
        config.extern_path(".proglog.v1", "crate::proglog::v1");
        let stubs = tonic_prost_build::configure().build_transport(false);
        config.service_generator(stubs.service_generator());
        check(&format!("grpc/{package}.rs"), generate(package, config));
    }
}

#[test]
fn committed_descriptors_are_those_of_the_proto_files() {
    let mut descriptors = compile();
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    check("grpc/descriptors.binpb", descriptors.encode_to_vec());
}
