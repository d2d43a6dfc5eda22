// Package netnstest makes two hosts out of one machine, for tests of jobs on several: two network namespaces, joined by
// a pair of virtual network cards. Files, processes and clocks are shared; addresses and ports are not.
package netnstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// Main is the address of host 0, as both hosts reach it. Host 1 has the next one.
const Main = "10.231.77.1"

// made counts pairs, which need names of their own.
var made atomic.Int32

// Pair is two hosts. The card of host i is called "card" and its number; both have a loopback as well.
type Pair [2]string

// need is the variable that makes a machine without hosts a failure: a run that is to show several hosts must not pass
// by showing none.
const need = "GOLITE_NEED_HOSTS"

// Two makes two hosts, which last as long as the test. They need Linux, root and the ip command. Where this machine
// can't have them the test is skipped, and says why; with GOLITE_NEED_HOSTS=1 it fails.
func Two(t testing.TB) (p Pair) {
	t.Helper()
	without := func(why string) {
		t.Helper()
		if v := os.Getenv(need); v != "" && v != "0" {
			t.Fatal(why + " (" + need + " is set)")
		}
		t.Skip(why)
	}
	if runtime.GOOS != "linux" {
		without("network namespaces are Linux's")
	}
	if os.Getuid() != 0 {
		without("network namespaces are made by root only")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		without("there is no ip command (Debian: iproute2)")
	}
	ip := func(line string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	number := made.Add(1)
	for i := range p {
		p[i] = fmt.Sprintf("golite-%d-%d-%d", os.Getpid(), number, i)
		if out, err := exec.Command("ip", "netns", "add", p[i]).CombinedOutput(); err != nil {
			without("this machine makes no network namespaces: " + string(out))
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "delete", p[i]).Run() })
	}
	ip(fmt.Sprintf("link add card0 netns %s type veth peer name card1 netns %s", p[0], p[1]))
	for i, name := range p {
		ip(fmt.Sprintf("-n %s addr add 10.231.77.%d/24 dev card%d", name, i+1, i))
		ip(fmt.Sprintf("-n %s link set card%d up", name, i))
		ip(fmt.Sprintf("-n %s link set lo up", name))
	}
	return p
}

// Command is exec.Command on host i.
func (p Pair) Command(i int, name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", p[i], name}, args...)...)
}

// Name gives host i a hosts file of its own, in which a name has an address: as on Debian, where a machine's own name
// leads to 127.0.1.1 there, and to another address elsewhere.
func (p Pair) Name(t testing.TB, i int, name, address string) {
	t.Helper()
	dir := filepath.Join("/etc/netns", p[i])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.RemoveAll(dir)
		os.Remove(filepath.Dir(dir)) // if it was the last one
	})
	text := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", address, name)
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
