// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemCalls
import SystemPackage
import Testing

/// A random value that this process holds only in disguise, so that every plain copy found is somebody else's.
struct Canary {
    static let byteCount = 32

    private let disguised: [UInt8]
    private let path: String

    init() throws {
        var bytes = (0..<Self.byteCount).map { _ in UInt8.random(in: .min ... .max) }
        // A value at which neither text nor JSON stops short: printable, no quote, no backslash.
        for index in bytes.indices { bytes[index] = (0x61 + bytes[index] % 26) ^ Self.disguise }
        disguised = bytes
        path = "/tmp/credentials-canary.\(getpid())"
    }

    private static let disguise: UInt8 = 0xa5

    /// Writes the value to a file, byte by byte, so that no buffer ever holds more of it.
    func writeFile(prefix: String, suffix: String, inDigits: Bool = false) throws -> String {
        unsafe unlink(path)
        let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        try file.writeAll(prefix)
        for byte in disguised {
            let plain = byte ^ Self.disguise
            if inDigits {
                for digit in [plain >> 4, plain & 15] { try file.writeAll([Self.digit(digit)].span) }
            } else {
                try file.writeAll([plain].span)
            }
        }
        try file.writeAll(suffix)
        return path
    }

    func removeFile() {
        unsafe unlink(path)
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

    /// Whether the first half of the value lies in some bytes.
    func isIn(_ bytes: [UInt8]) -> Bool {
        unsafe bytes.withUnsafeBytes { unsafe count(in: $0) > 0 }
    }

    /// The number of places in readable memory where the first half of the value lies.
    func copyCount(inDigits: Bool = false) -> Int {
        Mappings.readable().reduce(0) { sum, range in
            let start = unsafe UnsafeRawPointer(bitPattern: range.lowerBound)
            let bytes = unsafe UnsafeRawBufferPointer(start: start, count: Int(range.count))
            return sum + (inDigits ? unsafe digitCount(in: bytes) : unsafe count(in: bytes))
        }
    }

    private func count(in bytes: UnsafeRawBufferPointer) -> Int {
        let length = Self.byteCount / 2
        guard bytes.count >= length, let base = bytes.baseAddress else { return 0 }
        var count = 0
        let first = Int32(disguised[0] ^ Self.disguise)
        var position = 0
        while position + length <= bytes.count,
            let hit = unsafe memchr(base + position, first, bytes.count - position - length + 1)
        {
            position = unsafe base.distance(to: UnsafeRawPointer(hit))
            if (1..<length).allSatisfy({ unsafe bytes[position + $0] ^ Self.disguise == disguised[$0] }) { count += 1 }
            position += 1
        }
        return count
    }

    private func digitCount(in bytes: UnsafeRawBufferPointer) -> Int {
        let length = Self.byteCount
        guard bytes.count >= length, let base = bytes.baseAddress else { return 0 }
        func digit(_ index: Int) -> UInt8 {
            let plain = disguised[index / 2] ^ Self.disguise
            return Self.digit(index % 2 == 0 ? plain >> 4 : plain & 15)
        }
        var count = 0
        var position = 0
        while position + length <= bytes.count,
            let hit = unsafe memchr(base + position, Int32(digit(0)), bytes.count - position - length + 1)
        {
            position = unsafe base.distance(to: UnsafeRawPointer(hit))
            if (1..<length).allSatisfy({ unsafe bytes[position + $0] == digit($0) }) { count += 1 }
            position += 1
        }
        return count
    }
}

/// The address space of this process.
enum Mappings {
    /// The lines of a file of /proc.
    static func lines(of path: String) -> [Substring] {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY) else { return [] }
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            var span = part.mutableSpan
            guard let count = try? file.read(into: &span), count > 0 else { break }
            all += part[..<count]
        }
        return (String(validating: all, as: UTF8.self) ?? "").split(separator: "\n")
    }

    /// What can be read, without the kernel's own pages.
    static func readable() -> [Range<UInt>] {
        lines(of: "/proc/self/maps").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count >= 5, fields[1].hasPrefix("r"), !line.contains("[v") else { return nil }
            return range(fields[0])
        }
    }

    static func range(_ text: Substring) -> Range<UInt>? {
        let ends = text.split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 ? ends[0]..<ends[1] : nil
    }
}

private func pageAddress(of bytes: Span<UInt8>) -> UInt {
    unsafe bytes.withUnsafeBufferPointer { buffer in
        let address = UInt(bitPattern: buffer.baseAddress)
        return address / UInt(Memory.pageSize) * UInt(Memory.pageSize)
    }
}

/// What the kernel says of the mapping that some bytes lie in.
func mappingFlags(ofPageWith bytes: Span<UInt8>) -> [Substring] {
    let page = pageAddress(of: bytes)
    var isInside = false
    for line in Mappings.lines(of: "/proc/self/smaps") {
        if let first = line.split(separator: " ").first, let range = Mappings.range(first) {
            isInside = range.contains(page)
        } else if isInside, line.hasPrefix("VmFlags:") {
            return line.split(separator: " ").dropFirst().map { $0 }
        }
    }
    return []
}

/// Puts a reference to the page of some bytes into a pipe; wraps vmsplice(2), which copies nothing.
func holdPage(of bytes: Span<UInt8>, in pipe: borrowing OwnedDescriptor) {
    typealias Splice = @convention(c) (Int32, UnsafePointer<iovec>, Int, UInt32) -> Int
    guard let splice = unsafe function("vmsplice", as: Splice.self) else { preconditionFailure("Linux has vmsplice") }
    let start = unsafe UnsafeMutableRawPointer(bitPattern: pageAddress(of: bytes))
    var vector = unsafe iovec(iov_base: start, iov_len: Memory.pageSize)
    let count = unsafe splice(pipe.number, &vector, 1, 0)
    precondition(count == Memory.pageSize, "the page is in the pipe")
}

/// Reads a page out of a pipe.
func page(from pipe: borrowing OwnedDescriptor) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 1, count: Memory.pageSize)
    var span = bytes.mutableSpan
    let count = try pipe.read(into: &span)
    precondition(count == Memory.pageSize, "a whole page comes back")
    return bytes
}

/// Maps the page of some bytes a second time; 0 where it is private memory, which has no second mapping.
func mapAgain(_ bytes: Span<UInt8>) -> UInt {
    typealias Remap = @convention(c) (UInt, Int, Int, Int32) -> Int
    guard let remap = function("mremap", as: Remap.self) else { return 0 }
    let mayMove: Int32 = 1
    let address = remap(pageAddress(of: bytes), 0, Memory.pageSize, mayMove)
    return address == -1 ? 0 : UInt(bitPattern: address)
}

/// The bytes of a page.
func bytes(atPage address: UInt) -> [UInt8] {
    let start = unsafe UnsafeRawPointer(bitPattern: address)
    return unsafe Array(UnsafeRawBufferPointer(start: start, count: Memory.pageSize))
}

/// Becomes an ordinary user that may lock so much memory.
func limitLockedMemory(to byteCount: Int) throws {
    var limit = rlimit(rlim_cur: rlim_t(byteCount), rlim_max: rlim_t(byteCount))
    try call { unsafe setrlimit(__rlimit_resource_t(8), &limit) }
    try call { setgid(65_534) }
    try call { setuid(65_534) }
}

/// Ends the process of an exit test whose claim does not hold.
func claim(_ condition: Bool, _ message: @autoclosure () -> String, line: Int = #line) {
    guard !condition else { return }
    try? SystemCalls.writeAll(2, "line \(line): \(message())\n".utf8.span)
    exit(1)
}
