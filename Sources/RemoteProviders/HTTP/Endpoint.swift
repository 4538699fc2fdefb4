// SPDX-License-Identifier: Apache-2.0

/// Address of a server: scheme, host, port and the path that its own paths follow.
///
/// Plain http is for this machine and for the addresses at which a host hands out credentials, which no network routes.
package struct Endpoint: Sendable, Equatable {
    /// Addresses of credentials: of instances, of containers, of pods.
    private static let credentialHosts = [
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]",
    ]

    /// The request leaves this machine encrypted.
    package let isEncrypted: Bool
    /// Host as it stands in an address, one of IPv6 in brackets.
    package let host: String
    private let port: UInt16?
    /// Path without a slash at its end.
    package let path: String

    /// Reads an address: `https://HOST[:PORT][/PATH]`.
    ///
    /// - Returns: nil for any other form, and for plain http to a host that is not listed.
    package init?(_ text: String) {
        guard let scheme = text.firstRange(of: "://") else { return nil }
        let rest = text[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" }
        var path = rest.dropFirst(authority.count)
        while path.hasSuffix("/") { path = path.dropLast() }
        let isPathByte: (UInt8) -> Bool = { byte in
            Self.isHostByte(byte) || "/_~%+=:@,".utf8.contains(byte)
        }
        guard path.utf8.allSatisfy(isPathByte) else { return nil }
        guard let (host, port) = Self.parts(authority) else { return nil }
        switch text[..<scheme.lowerBound].lowercased() {
        case "https": isEncrypted = true
        case "http":
            guard Self.isLocal(host) || Self.credentialHosts.contains(host) else { return nil }
            isEncrypted = false
        default: return nil
        }
        self.host = host
        self.port = port
        self.path = String(path)
    }

    /// Reason why a text is refused as an address, for messages.
    package static func reason(against text: String) -> String {
        let scheme = "http://"
        let isPlain = text.lowercased().hasPrefix(scheme) && Endpoint("https://\(text.dropFirst(scheme.count))") != nil
        return isPlain ? "plain http, which others could read on its way" : "no address"
    }

    /// The value of the header `Host`.
    package var authority: String {
        guard let port, port != (isEncrypted ? 443 : 80) else { return host }
        return "\(host):\(port)"
    }

    /// Address without a path.
    package var origin: String { "\(isEncrypted ? "https" : "http")://\(authority)" }

    private static func parts(_ authority: Substring) -> (host: String, port: UInt16?)? {
        var host = authority
        var port: UInt16?
        let end = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[end...].lastIndex(of: ":") {
            guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else { return nil }
            port = number
            host = authority[..<colon]
        }
        let isAddress = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
        let name = isAddress ? host.dropFirst().dropLast() : host
        let isFine = name.utf8.allSatisfy { byte in
            isAddress ? Self.isHexadecimal(byte) || ".:".utf8.contains(byte) : Self.isHostByte(byte)
        }
        return !name.isEmpty && isFine ? (host.lowercased(), port) : nil
    }

    /// Host that stands for this machine: a name that libcurl looks up nowhere, or an address.
    private static func isLocal(_ host: String) -> Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }
}
