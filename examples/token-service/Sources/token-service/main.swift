// SPDX-License-Identifier: Apache-2.0

// An HTTP service that lets in who presents the API token, and says on /health whether its credentials are in order.
// The token may be rotated while it runs: it looks at the file before every request and reads it only when it changed.

import Credentials
import Glibc

func listen(port: UInt16) -> Int32? {
    let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var reuse: Int32 = 1
    setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let ready = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            bind(number, address, size) == 0 && Glibc.listen(number, 16) == 0
                && getsockname(number, address, &size) == 0
        }
    }
    guard ready else { return nil }
    print("listening on 127.0.0.1:\(UInt16(bigEndian: address.sin_port))")
    fflush(nil)
    return number
}

do {
    let policy = FilePolicy(symbolicLinks: .kubernetes)
    let store = try CredentialStore([Credential("api_token", aliases: ["API_TOKEN"], policy: policy)])
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8080
    guard let server = listen(port: port) else {
        perror("token-service: error: cannot listen")
        exit(1)
    }
    while true {
        let accepted = accept(server, nil, nil)
        guard accepted >= 0 else { continue }
        let connection = Connection(owning: accepted)
        do {
            if try store.reloadIfChanged() { print("loaded generation \(store.snapshot.generation)") }
        } catch {
            // The token of before stays valid: a half-done rotation locks nobody out.
            print("cannot reload: \(error)")
        }
        fflush(nil)
        let token = try store.secret("api_token")
        connection.withRequest { line, presented in
            switch line {
            case "GET /health HTTP/1.1":
                let health = store.health()
                let status = health.allSatisfy(\.isHealthy) ? "200 OK" : "503 Service Unavailable"
                connection.answer(status, health.map { "\($0)\n" }.joined())
            case "GET / HTTP/1.1":
                // The time of `matches` tells nothing: neither how much of the token is right nor how long it is.
                guard let presented, token.matches(presented) else {
                    return connection.answer("401 Unauthorized", "unauthorized\n")
                }
                connection.answer("200 OK", "welcome\n")
            default: connection.answer("404 Not Found", "not found\n")
            }
        }
    }
} catch {
    let message = "token-service: error: \(error)\n"
    write(2, message, message.utf8.count)
    exit(1)
}
