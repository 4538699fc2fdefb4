// SPDX-License-Identifier: Apache-2.0

import RemoteProviders
import Testing

/// Addresses of servers: what may be spoken to without encryption, and what is no address.
@Suite struct EndpointTests {
    @Test func plainHTTPIsForThisMachineAndForCredentialsAlone() {
        let local = [
            "http://127.0.0.1:4566", "http://127.9.8.7", "http://localhost:4566/", "http://[::1]:80/path",
            "http://169.254.169.254", "http://169.254.170.2", "http://169.254.170.23", "http://[fd00:ec2::254]",
            "HTTP://LOCALHOST",
        ]
        for text in local { #expect(Endpoint(text)?.isEncrypted == false, "\(text)") }
        let remote = [
            "http://ssm.eu-central-1.amazonaws.com", "http://10.0.0.1", "http://localhost.example.com",
            "http://127.0.0.1.example.com", "http://127.1", "http://127.0.0.256", "http://169.254.169.253",
            "http://[::2]", "http://[fe80::1]", "http://0.0.0.0",
        ]
        for text in remote {
            #expect(Endpoint(text) == nil, "\(text)")
            #expect(Endpoint("https" + text.dropFirst(4))?.isEncrypted == true, "\(text)")
        }
    }

    @Test func whatIsNoAddressIsRefused() {
        let texts = [
            "", "https://", "https:///path", "https://a b", "https://user@host", "https://user:word@host", "ftp://host",
            "file:///etc/passwd", "host", "//host", "https://host:0", "https://host:65536", "https://host:",
            "https://[::1",
            "https://[]", "https://[zz]", "https://host?query", "https://host#part", "https://host/a?b",
            "https://h\r\nost",
            "https://host/a\r\nb", "https://host/\u{e9}", "https://h\u{e9}", "gopher://host",
        ]
        for text in texts { #expect(Endpoint(text) == nil, "\(text)") }
    }

    @Test func partsComeBack() throws {
        let endpoint = try #require(Endpoint("https://Host.Example:8443/a/b//"))
        #expect(endpoint.host == "host.example" && endpoint.path == "/a/b")
        #expect(endpoint.authority == "host.example:8443" && endpoint.origin == "https://host.example:8443")
        #expect(Endpoint("https://host:443")?.authority == "host")
        #expect(Endpoint("http://[::1]:80")?.authority == "[::1]")
        #expect(Endpoint("http://[::1]:443")?.origin == "http://[::1]:443")
    }
}
