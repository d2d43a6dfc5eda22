// Command probe is a rank that only finds its peers: it reads its place from the engine that started it, meets the others at
// rank 0's address over TCP, and prints where it stands, a JSON line a rank. test.sh runs it under each engine before the
// training program, so that a failure tells which of the two is to blame. It needs no libtorch.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/golite/golite/lite/cluster"
)

func main() {
	log.SetFlags(0)
	devices := flag.Int("devices", 2, "ranks on each node")
	nodes := flag.Int("num-nodes", 1, "nodes")
	fail := flag.Int("fail", -1, "rank that fails")
	flag.Parse()
	if err := run(*devices, *nodes, *fail); err != nil {
		log.Fatal(err)
	}
}

func run(devices, nodes, fail int) error {
	env := cluster.Detect(nil, nil)
	place, err := cluster.Place(env, devices, nodes)
	if err != nil {
		return err
	}
	port := place.MainPort
	if e, ok := env.(*cluster.TorchElastic); ok && e.AgentStore() {
		port++ // the agent listens on the port itself
	}
	if place.GlobalRank == fail {
		return failed(env)
	}
	met, err := meet(place, port)
	if err != nil {
		return fmt.Errorf("rank %d under %s: %w", place.GlobalRank, env.Name(), err)
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Engine string
		cluster.Placement
		Met int
	}{env.Name(), place, met})
}

// failed is what a rank does that fails: torchrun is told why.
func failed(env cluster.Environment) error {
	err := errors.New("the probe fails as it was told")
	if e, ok := env.(*cluster.TorchElastic); ok {
		err = errors.Join(err, e.ReportError(err.Error(), "no stack"))
	}
	return err
}

// meet returns the sum of all ranks' numbers, which rank 0 gathers and hands out.
func meet(place cluster.Placement, port int) (int, error) {
	const patience = 20 * time.Second
	address := net.JoinHostPort(place.MainAddress, strconv.Itoa(port))
	if place.GlobalRank == 0 {
		return gather(address, place.WorldSize, patience)
	}
	var conn net.Conn
	var err error
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if conn, err = net.Dial("tcp", address); err == nil {
			break
		}
		if time.Since(start) > patience {
			return 0, err
		}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(conn, place.GlobalRank); err != nil {
		return 0, err
	}
	var sum int
	_, err = fmt.Fscanln(conn, &sum)
	return sum, err
}

func gather(address string, ranks int, patience time.Duration) (sum int, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	var conns []net.Conn
	for range ranks - 1 {
		conn, err := l.Accept()
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		var rank int
		if _, err := fmt.Fscanln(conn, &rank); err != nil {
			return 0, err
		}
		sum += rank
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		_, werr := fmt.Fprintln(conn, sum)
		err = errors.Join(err, werr)
	}
	return sum, err
}
