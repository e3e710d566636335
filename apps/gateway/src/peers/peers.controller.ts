import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Route } from '../http/route.decorator.js';
import { NodePeersService } from './node-peers.service.js';
import {
  type NewPeer,
  newPeerSchema,
  type PeerBody,
  type PeerListBody,
  type PeerRemoval,
  peerListSchema,
  peerRemovalSchema,
  peerSchema,
} from './peers.schema.js';

@ApiTags('admin')
@Controller('v1/admin/peers')
export class PeersController {
  constructor(private readonly peers: NodePeersService) {}

  @Get()
  @Route({
    summary: 'Nodes our nodes stay connected to, and their state of sync',
    look: 'peers',
    roles: ['admin', 'auditor'],
    success: { 200: peerListSchema },
  })
  list(): Promise<PeerListBody> {
    return this.peers.list();
  }

  @Post()
  @Route({
    summary: 'Connect to another node of the same chain',
    roles: ['admin'],
    success: { 201: peerSchema },
    problems: ['CONFLICT', 'NOT_FOUND', 'CHAIN_UNAVAILABLE'],
  })
  add(@Body({ schema: newPeerSchema }) body: NewPeer): Promise<PeerBody> {
    return this.peers.add(body);
  }

  @Post('removal')
  @HttpCode(204)
  @Route({
    summary: 'Stay connected to a node no longer',
    roles: ['admin'],
    success: { 204: { description: 'Removed.' } },
    problems: ['NOT_FOUND', 'CHAIN_UNAVAILABLE'],
  })
  remove(@Body({ schema: peerRemovalSchema }) body: PeerRemoval): Promise<void> {
    return this.peers.remove(body);
  }
}
