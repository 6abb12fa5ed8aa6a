package proxyproto

import "net"

// Conn is a connection that reports the addresses that a header names.
type Conn struct {
	net.Conn
	Header Header
}

// Accept reads a header from c and returns a Conn behind it.
func Accept(c net.Conn) (*Conn, error) {
	h, err := Read(c)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, Header: h}, nil
}

// NetConn returns the connection to the proxy.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// RemoteAddr returns the client's address, or the proxy's if that does not say.
func (c *Conn) RemoteAddr() net.Addr {
	if c.Header.Source != nil {
		return c.Header.Source
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr returns the address that the client connected to, or this end's if the proxy does not say.
func (c *Conn) LocalAddr() net.Addr {
	if c.Header.Destination != nil {
		return c.Header.Destination
	}
	return c.Conn.LocalAddr()
}
