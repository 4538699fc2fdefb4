// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, with the sources of the parsers by symbolic links: they are built with the counters of libFuzzer, which
// nothing that ships may have, and what they do not publish stays visible within one package.
let counted: [SwiftSetting] = [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .unsafeFlags(["-sanitize=fuzzer"]),
]
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
// scripts/fuzz names the library of the toolchain that has libFuzzer without its main function.
let library = Context.environment["CREDFS_FUZZER_LIBRARY"].map { ["-Xlinker", $0, "-lstdc++"] } ?? []

let package = Package(
    name: "credfs-fuzz",
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1")
    ],
    targets: [
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto"),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1"),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl"),
        .systemLibrary(name: "CFuse3", pkgConfig: "fuse3"),
        .systemLibrary(name: "CFuzzer"),
        .target(name: "SystemCalls", dependencies: ["CLinux", systemPackage], swiftSettings: counted),
        .target(name: "SecureMemory", dependencies: ["SystemCalls", systemPackage], swiftSettings: counted),
        .target(
            name: "SecureFiles",
            dependencies: ["SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: counted
        ),
        .target(name: "SecureJSON", swiftSettings: counted),
        .target(name: "Sealing", dependencies: ["CLibCrypto", "SecureMemory"], swiftSettings: counted),
        .target(
            name: "ProcessControl",
            dependencies: ["SecureJSON", "SystemCalls", systemPackage],
            swiftSettings: counted
        ),
        .target(
            name: "SecretStore",
            dependencies: [
                "CYAML", "Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "SystemCalls", systemPackage,
            ],
            swiftSettings: counted
        ),
        .target(
            name: "AuditLog",
            dependencies: ["Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: counted
        ),
        .target(
            name: "FuseBridge",
            dependencies: ["CFuse3", "SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: counted
        ),
        .target(
            name: "SecretFileSystem",
            dependencies: [
                "AuditLog", "FuseBridge", "SecretStore", "Sealing", "SecureMemory", "SystemCalls", systemPackage,
            ],
            swiftSettings: counted
        ),
        .target(
            name: "PlaintextDocuments",
            dependencies: [
                "SecretStore", "Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "ProcessControl",
                "SystemCalls", systemPackage,
            ],
            swiftSettings: counted
        ),
        .target(
            name: "SecretProviders",
            dependencies: ["SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: counted
        ),
        .target(
            name: "SecretSources",
            dependencies: [
                "PlaintextDocuments", "ProcessControl", "SecretProviders", "SecretStore", "Sealing", "SecureFiles",
                "SecureMemory", "SystemCalls", systemPackage,
            ],
            swiftSettings: counted
        ),
        .target(
            name: "RemoteProviders",
            dependencies: [
                "CCurl", "ProcessControl", "SecretProviders", "Sealing", "SecureJSON", "SecureMemory", "SystemCalls",
                systemPackage,
            ],
            swiftSettings: counted
        ),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CFuzzer", "AuditLog", "FuseBridge", "PlaintextDocuments", "ProcessControl", "RemoteProviders",
                "SecretFileSystem",
                "SecretProviders", "SecretSources", "SecretStore", "Sealing", "SecureMemory", "SystemCalls",
                systemPackage,
            ],
            swiftSettings: counted,
            linkerSettings: [.unsafeFlags(library)]
        ),
    ],
    swiftLanguageModes: [.v6]
)
