// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/used"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// moment is what etcd, the fleet and the machine have counted until then.
type moment struct {
	at      time.Time
	members []etcdtest.Metrics
	clients time.Duration // CPU of the fleet, and of this process
	busy    float64       // seconds that all cores of the machine have worked
}

func (s *scene) now() moment {
	m := moment{at: time.Now(), clients: used.CPU(), busy: busySeconds()}
	if s.fleet != nil {
		m.clients += s.fleet.cpu()
	}
	for _, member := range s.etcd.Members {
		m.members = append(m.members, member.Metrics())
	}
	return m
}

// load is what happened between two moments, a second.
type load struct {
	seconds      float64
	etcd         float64       // cores that the members used, all together
	largest      float64       // the one of them that used most
	clients      float64       // cores
	machine      float64       // cores, by whomever
	sent         float64       // MiB to clients, by all members
	fsync        time.Duration // that one in a hundred exceeds, of the slowest member
	stall        time.Duration // the longest that a disk held one of them up, rounded up
	elections    float64
	keepAlives   float64
	written      float64 // growth of a member's database, in bytes
	slowWatchers float64
}

const fsyncs = "etcd_disk_wal_fsync_duration_seconds"

func (m moment) since(before moment) load {
	l := load{seconds: m.at.Sub(before.at).Seconds()}
	l.clients = (m.clients - before.clients).Seconds() / l.seconds
	l.machine = (m.busy - before.busy) / l.seconds
	for i, now := range m.members {
		grown := func(name string) float64 { return now.Value(name, nil) - before.members[i].Value(name, nil) }
		cpu := grown(etcdtest.MetricCPUSeconds) / l.seconds
		l.etcd += cpu
		l.largest = max(l.largest, cpu)
		l.sent += grown("etcd_network_client_grpc_sent_bytes_total") / l.seconds / (1 << 20)
		l.keepAlives += grown(etcdtest.MetricLeasesRenewed) / l.seconds
		l.written = max(l.written, grown("etcd_mvcc_db_total_size_in_bytes"))
		l.slowWatchers += now.Value("etcd_debugging_mvcc_slow_watcher_total", nil)
		l.elections += grown("etcd_server_leader_changes_seen_total")
		took := func(name string, share float64) time.Duration {
			return time.Duration(now.Quantile(name, share, before.members[i]) * float64(time.Second))
		}
		l.fsync = max(l.fsync, took(fsyncs, 0.99))
		l.stall = max(l.stall, took(fsyncs, 1), took("etcd_disk_backend_commit_duration_seconds", 1))
	}
	return l
}

// others is what neither etcd nor its clients used, in cores.
func (l load) others() float64 { return max(0, l.machine-l.etcd-l.clients) }

// limit says what is short. It is asked when something does not go as it should.
func (l load) limit() string {
	cores := float64(runtime.NumCPU())
	switch {
	case l.others() > 0.25*cores:
		return fmt.Sprintf("the CPU, of which other programs had %.1f of %.0f cores: this has to be measured on a machine where there are none", l.others(), cores)
	case l.machine > 0.8*cores: // on average, so at times there are none
		return fmt.Sprintf("the CPU, which etcd and its clients share: %.1f of %.0f cores were busy, %.1f with etcd, %.1f with the clients", l.machine, cores, l.etcd, l.clients)
	case freeMemory() < 0.05:
		return "the memory of the machine"
	case l.fsync > 100*time.Millisecond:
		return fmt.Sprintf("the disk: the slowest hundredth of its fsyncs took up to %v or more", l.fsync)
	case l.stall > slow/2:
		return fmt.Sprintf("the disk, once: it held a member up for up to %v", l.stall)
	case l.elections > 0:
		return "the cores for etcd's heartbeats: it had to elect a leader"
	case l.slowWatchers > 0:
		return fmt.Sprintf("watches: etcd had %.0f that it could not send to at once", l.slowWatchers)
	default:
		return fmt.Sprintf("not found: %.1f of %.0f cores were busy, %.1f MiB/s were sent", l.machine, cores, l.sent)
	}
}

// largestMember returns the largest value of a metric that a member has.
func (m moment) largestMember(name string) (most float64) {
	for _, member := range m.members {
		most = max(most, member.Value(name, nil))
	}
	return most
}

// all returns the sum of a metric of all members.
func (m moment) all(name string) (sum float64) {
	for _, member := range m.members {
		sum += member.Value(name, nil)
	}
	return sum
}

// freeMemory is which share of the machine's memory is available.
func freeMemory() float64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1
	}
	var total, available float64
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		n, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "MemTotal:":
			total = n
		case "MemAvailable:":
			available = n
		}
	}
	return available / max(1, total)
}

// busySeconds reads how long all cores have worked, since the machine started.
func busySeconds() float64 {
	stat, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer stat.Close()
	lines := bufio.NewScanner(stat)
	lines.Scan()
	fields := strings.Fields(lines.Text()) // cpu user nice system idle iowait irq softirq steal ...
	var ticks float64
	for i, field := range fields {
		if i == 0 || i == 4 || i == 5 || i > 8 { // guests are counted as users
			continue
		}
		n, _ := strconv.ParseFloat(field, 64)
		ticks += n
	}
	return ticks / 100 // USER_HZ
}
