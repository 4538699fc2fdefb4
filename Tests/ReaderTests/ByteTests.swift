// SPDX-License-Identifier: Apache-2.0

import Testing

extension Readers {
    /// Every byte comes out as it went in, wherever a read begins and ends.
    struct Bytes {
        @Test(arguments: Way.all) func theDirectoryHasTheSecretsThatHaveAValue(_ way: Way) async throws {
            let host = try Host.current
            let names = host.secrets.filter { !$0.value.isEmpty }.keys.sorted()
            let listed = try await host.read(way, #"ls -A "$CREDENTIALS_DIRECTORY"; test -z "${EMPTY_FILE+set}""#)
            #expect(listed.split(separator: "\n").map(String.init) == names)
            let sizes = try await host.read(
                way,
                #"cd "$CREDENTIALS_DIRECTORY"; stat --format='%n %s %a %u %F' -- *; stat --format='%a %u' ."#
            )
            let user = way.user == .root ? "0" : Host.ordinaryUser
            let lines = names.map { "\($0) \(host.secrets[$0]?.count ?? -1) 400 \(user) regular file" }
            #expect(sizes.split(separator: "\n").map(String.init) == lines + ["500 \(user)"])
        }

        @Test(arguments: Way.all) func pythonReadsExactBytesAtEveryOffset(_ way: Way) async throws {
            let program = """
                import os
                def check(name, ranges):
                    with open(os.environ["EXPECTED"] + "/" + name, "rb") as file: expected = file.read()
                    file = os.open(os.environ[name + "_FILE"], os.O_RDONLY)
                    assert os.fstat(file).st_size == len(expected)
                    count = 0
                    for offset, length in ranges(len(expected)):
                        found = os.pread(file, length, offset)
                        assert found == expected[offset:offset + length], (name, offset, length)
                        count += 1
                    os.close(file)
                    return count
                def everywhere(size):
                    for number in range(size + 2):
                        yield number, 1
                        yield number, size
                        yield 0, number
                edges = [0, 1, 2, 15, 16, 17, 4095, 4096, 4097, 65536]
                def around(size):
                    for block in (0, 16, 512, 4096, 65536, 131072, 262144, 1000003, size):
                        for offset in range(max(0, block - 2), block + 3):
                            for length in edges + [131071, 131072, 131073]: yield offset, length
                            if block in (0, size):
                                for length in (max(0, size - offset), size + 1): yield offset, length
                print(check("ZERO", everywhere), check("ODD", everywhere), check("BINARY", around), check("LARGE", around))
                """
            let found = try await Host.current.read(
                way,
                #"python3 -I -c "$PROGRAM""#,
                adding: ["PROGRAM": program],
                needsLarge: true
            )
            #expect(found == "9 3117 575 575\n")
        }

        @Test(arguments: Way.all) func ddReadsOddOffsetsAndBlockSizes(_ way: Way) async throws {
            let direct = #"dd if="$BINARY_FILE" iflag=direct bs=64k status=none"#
            // Whether tmpfs has it depends on the kernel.
            let check =
                way.isServed
                ? direct + #" | cmp - "$EXPECTED/BINARY""#
                : way.manner == .ramfs ? "if \(direct) 2>/dev/null; then exit 9; fi" : ""
            let found = try await Host.current.read(
                way,
                """
                compare() {
                    dd if="$EXPECTED/BINARY" bs="$1" skip="$2" count="$3" status=none >expected
                    dd if="$BINARY_FILE" bs="$1" skip="$2" count="$3" status=none | cmp - expected
                    echo same
                }
                compare 1 0 300
                compare 7 11 501
                compare 513 3 9
                compare 4095 1 9
                compare 3 1366 9
                \(check)
                """
            )
            #expect(found == String(repeating: "same\n", count: 5))
        }

        @Test(arguments: Way.all) func copiersCopyEveryByte(_ way: Way) async throws {
            let found = try await Host.current.read(
                way,
                """
                cd "$CREDENTIALS_DIRECTORY"
                cat LARGE | cmp - "$EXPECTED/LARGE"
                for name in BINARY LARGE; do
                    for sparse in always never; do
                        cp --sparse=$sparse "$name" "$HOME/copy"
                        cmp "$HOME/copy" "$EXPECTED/$name"
                        rm -f "$HOME/copy"
                    done
                    for count in 1 4097 +1 +4098; do
                        tail -c "$count" "$EXPECTED/$name" >"$HOME/end"
                        tail -c "$count" "$name" | cmp - "$HOME/end"
                    done
                done
                tar -cf "$HOME/all.tar" .
                mkdir "$HOME/all"
                tar -C "$HOME/all" -xpf "$HOME/all.tar"
                for name in *; do cmp "$HOME/all/$name" "$EXPECTED/$name"; done
                ls "$HOME/all"
                stat --format=%a "$HOME/all/BINARY"
                """,
                needsLarge: true
            )
            #expect(found == "BINARY\nLARGE\nODD\nZERO\n400\n")
        }

        @Test(arguments: Way.all) func pythonMapsAndCopiesFiles(_ way: Way) async throws {
            let program = """
                import mmap, os, shutil
                path = os.environ["LARGE_FILE"]
                with open(os.environ["EXPECTED"] + "/LARGE", "rb") as file: expected = file.read()
                with open(path, "rb") as file:
                    assert file.read() == expected and file.read() == b""
                    file.seek(-5, os.SEEK_END)
                    assert file.read() == expected[-5:]
                    private = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
                    assert private[:] == expected and private[4095:4097] == expected[4095:4097]
                    try:
                        mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
                        print("shared")
                    except OSError as error:
                        print(os.strerror(error.errno))
                for copy in (shutil.copyfile, shutil.copy2):
                    copy(path, "copy")
                    with open("copy", "rb") as file: assert file.read() == expected
                    os.remove("copy")
                """
            let found = try await Host.current.read(
                way,
                #"python3 -I -c "$PROGRAM""#,
                adding: ["PROGRAM": program],
                needsLarge: true
            )
            // What credfs serves is never in the page cache for longer than it is open, so it cannot be shared there.
            #expect(found == (way.isServed ? "No such device\n" : "shared\n"))
        }

        @Test(arguments: Way.all) func nodeReadsFilesAndStreams(_ way: Way) async throws {
            let program = """
                const fs = require("fs"), env = process.env
                for (const name of ["BINARY", "ZERO"]) {
                    const expected = fs.readFileSync(env.EXPECTED + "/" + name)
                    if (!fs.readFileSync(env[name + "_FILE"]).equals(expected)) throw name
                }
                fs.copyFileSync(env.BINARY_FILE, "copy")
                const expected = fs.readFileSync(env.EXPECTED + "/BINARY")
                if (!fs.readFileSync("copy").equals(expected)) throw "copy"
                const parts = []
                fs.createReadStream(env.BINARY_FILE, { start: 17, end: 4097, highWaterMark: 1021 })
                    .on("data", part => parts.push(part))
                    .on("end", () => console.log(Buffer.concat(parts).equals(expected.subarray(17, 4098))))
                """
            let found = try await Host.current.read(way, #"node -e "$PROGRAM""#, adding: ["PROGRAM": program])
            #expect(found == "true\n")
        }
    }
}
