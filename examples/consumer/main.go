// SPDX-License-Identifier: Apache-2.0

// Command consumer calls the Greeter every second and prints who answered. It
// finds the providers in the etcd that its configuration names. Run it from the
// root of the repository:
//
//	go run ./examples/consumer
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/examples/greeter"
	"github.com/dubbo-go-contrib/registry-etcdv3/examples/internal/config"
)

func main() {
	path := config.Flag("examples/consumer/dubbogo.yaml")
	every := flag.Duration("every", time.Second, "the time between calls")
	flag.Parse()

	client := &greeter.Client{}
	dubbo.SetConsumerServiceWithInfo(client, &greeter.ClientInfo)
	if err := config.Load(*path); err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
	for range time.Tick(*every) { // Ctrl-C ends it
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		answer, err := client.Greet(ctx, "world")
		cancel()
		if err != nil {
			answer = "failed: " + firstSentence(err)
		}
		fmt.Println(time.Now().Format(time.TimeOnly), answer)
	}
}

// firstSentence leaves out the URLs that dubbo-go's errors go on with.
func firstSentence(err error) string {
	text, _, _ := strings.Cut(err.Error(), " from registry")
	return text
}
