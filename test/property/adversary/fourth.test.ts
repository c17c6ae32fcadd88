import { look } from '../../adversary/look.ts'

look(3)
